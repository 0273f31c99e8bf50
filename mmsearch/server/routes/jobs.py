"""Jobs: start one, look at it, stop it."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response

from mmsearch.server.bodies import StrictRoute
from mmsearch.server.convert import json_response
from mmsearch.server.problems import responses
from mmsearch.server.schemas import JobIn, JobOut, JobsOut
from mmsearch.server.services import Shared

router = APIRouter(tags=["jobs"], route_class=StrictRoute)


@router.post(
    "/v1/jobs",
    operation_id="start_job",
    status_code=202,
    responses={202: {"model": JobOut}, **responses(400, 401, 403, 413, 415, 429, 503)},
    response_class=Response,
)
async def start(body: JobIn, shared: Shared) -> Response:
    """Index a folder or a table beneath a root that the operator allowed."""
    job = shared.jobs.add(await asyncio.to_thread(shared.jobs.allowed, body.path))
    response = json_response(job.to_json(), 202)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return response


@router.get(
    "/v1/jobs",
    operation_id="jobs",
    responses={200: {"model": JobsOut}, **responses(401, 403, 429)},
    response_class=Response,
)
async def jobs(shared: Shared) -> Response:
    """The last hundred, the newest first."""
    return json_response({"jobs": [job.to_json() for job in shared.jobs.all()]})


@router.get(
    "/v1/jobs/{id}",
    operation_id="job",
    responses={200: {"model": JobOut}, **responses(401, 403, 404, 429)},
    response_class=Response,
)
async def job(id: str, shared: Shared) -> Response:
    """How far it is, or what became of it."""
    return json_response(shared.jobs.get(id).to_json())


@router.delete(
    "/v1/jobs/{id}",
    operation_id="cancel_job",
    status_code=202,
    responses={202: {"model": JobOut}, **responses(401, 403, 404, 429)},
    response_class=Response,
)
async def cancel(id: str, shared: Shared) -> Response:
    """Stop it after the batch that is under way; what was committed stays."""
    return json_response(shared.jobs.cancel(id).to_json(), 202)
