"""Jobs: only beneath allowed roots, with progress, and stopped between two batches."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.testclient import TestClient

from mmsearch.layout import Layout
from tests.server.worlds import make_shop, serving
from tests.support import ColourEncoder, paint


class SlowEncoder(ColourEncoder):
    """Encodes a batch of pictures only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Semaphore(0)
        self.let = threading.Semaphore(0)
        self.slow = False

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        if self.slow:
            self.begun.release()
            assert self.let.acquire(timeout=30)
        return super().encode_images(pixels)


def finished(client: TestClient, id: str) -> dict[str, Any]:
    until = time.monotonic() + 30
    while True:
        job: dict[str, Any] = client.get(f"/v1/jobs/{id}").json()
        if job["finished_at"] is not None:
            return job
        assert time.monotonic() < until, job
        time.sleep(0.02)


def start(client: TestClient, path: Path) -> dict[str, Any]:
    response = client.post("/v1/jobs", json={"kind": "index", "path": str(path)})
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    return job


def photos(folder: Path, count: int) -> Path:
    for number in range(count):
        paint(folder / f"{number}.png", (number * 20, 255 - number * 20, 90))
    return folder


def test_folder_beneath_a_root_is_indexed(
    folder: Path, tmp_path: Path, encoder: ColourEncoder
) -> None:
    album = photos(tmp_path / "albums" / "one", 3)
    (album / "broken.png").write_bytes(b"no picture")
    with serving(folder, encoder, roots=(tmp_path / "albums",)) as client:
        job = finished(client, start(client, album)["id"])
        assert (job["state"], job["error"]) == ("done", None)
        assert job["report"]["added"] == 3
        assert [one["key"] for one in job["report"]["failures"]] == [str(album / "broken.png")]
        assert job["progress"]["step"]
        assert client.get("/v1/collection").json()["items"] == 14
        assert [one["id"] for one in client.get("/v1/jobs").json()["jobs"]] == [job["id"]]
        # No batch is left for it to stop before.
        assert client.delete(f"/v1/jobs/{job['id']}").json()["state"] == "done"


def test_nothing_else_is_indexed(folder: Path, tmp_path: Path, encoder: ColourEncoder) -> None:
    album = photos(tmp_path / "albums", 1)
    outside = photos(tmp_path / "outside", 1)
    os.symlink(outside, album / "link")
    with serving(folder, encoder, roots=(album,)) as client:
        answers = []
        for path in (outside, album / "link", album / ".." / "outside", album / "none", "\0", "/"):
            body = {"kind": "index", "path": str(path)}
            response = client.post("/v1/jobs", json=body)
            assert response.status_code == 403, path
            answers.append(response.json()["detail"])
        assert len(set(answers)) == 1  # which does not tell what there is
    with serving(folder, encoder) as client:
        response = client.post("/v1/jobs", json={"kind": "index", "path": str(album)})
        assert response.status_code == 403
        assert "--root" in response.json()["detail"]


def test_job_is_cancelled_between_two_batches(tmp_path: Path) -> None:
    encoder = SlowEncoder()
    folder = make_shop(tmp_path / "shop", encoder)
    album = photos(tmp_path / "albums", 10)  # batches of 4
    encoder.slow = True
    with serving(folder, encoder, roots=(album,)) as client:
        job = start(client, album)
        waiting = start(client, album)
        assert encoder.begun.acquire(timeout=30)
        assert client.get(f"/v1/jobs/{job['id']}").json()["state"] == "running"
        # Searching goes on meanwhile.
        assert client.post("/v1/search", json={"text": "red", "k": 1}).json()["hits"]
        assert client.delete(f"/v1/jobs/{waiting['id']}").status_code == 202
        assert client.delete(f"/v1/jobs/{job['id']}").status_code == 202
        encoder.let.release(10)
        done = finished(client, job["id"])
        assert (done["state"], done["report"]["interrupted"]) == ("cancelled", True)
        added = done["report"]["added"]
        assert added in (4, 8)  # the next batch may have been under way already
        assert client.get("/v1/collection").json()["items"] == 11 + added
        assert finished(client, waiting["id"])["state"] == "cancelled"
        encoder.slow = False
        again = finished(client, start(client, album)["id"])
        assert (again["state"], again["report"]["added"]) == ("done", 10 - added)


def test_server_that_stops_cancels_its_job(tmp_path: Path) -> None:
    encoder = SlowEncoder()
    folder = make_shop(tmp_path / "shop", encoder)
    album = photos(tmp_path / "albums", 10)
    encoder.slow = True
    with serving(folder, encoder, roots=(album,)) as client:
        start(client, album)
        assert encoder.begun.acquire(timeout=30)
        threading.Timer(1.0, encoder.let.release, [10]).start()
    with serving(folder, encoder) as client:
        assert client.get("/v1/collection").json()["items"] in (11 + 4, 11 + 8)


def test_job_waits_while_another_process_writes(
    folder: Path, tmp_path: Path, encoder: ColourEncoder
) -> None:
    album = photos(tmp_path / "albums", 1)
    with serving(folder, encoder, roots=(album,)) as client:
        with Layout(folder / ".mmsearch").writing():
            job = start(client, album)
            until = time.monotonic() + 30
            while True:
                progress = client.get(f"/v1/jobs/{job['id']}").json()["progress"]
                if progress and "waiting" in progress["step"]:
                    break
                assert time.monotonic() < until
                time.sleep(0.02)
        assert client.delete(f"/v1/jobs/{job['id']}").status_code == 202
        assert finished(client, job["id"])["state"] == "cancelled"


def test_unknown_job_is_not_found(client: TestClient) -> None:
    assert client.get("/v1/jobs/nope").status_code == 404
    assert client.delete("/v1/jobs/nope").status_code == 404
