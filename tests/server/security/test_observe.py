"""The log, the figures, the ids and the spans of requests."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient

from mmsearch.errors import StorageError
from mmsearch.server import tracing
from mmsearch.server.logs import JsonFormatter, config
from mmsearch.server.metrics import Metrics
from mmsearch.server.security import guard
from mmsearch.server.settings import Settings
from mmsearch.server.tracing import Tracing
from tests.server.security.conftest import Keyed, bearer
from tests.server.security.worlds import LOCAL, guarded, request, send_raw
from tests.support import ColourEncoder

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The log's lines so far, as they would be written."""
    written: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(self.format(record))

    handler = Keep()
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("mmsearch")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in written]
    logger.removeHandler(handler)
    logger.setLevel(before)
    assert all("\n" not in line and line.isascii() for line in written)


def requests(lines: Lines) -> list[dict[str, Any]]:
    return [line for line in lines() if line["logger"] == "mmsearch.server.request"]


# ---- the log


def test_a_request_is_one_line(keyed: Keyed, lines: Lines) -> None:
    response = keyed.client.get("/v1/items/P1", headers={**keyed.read, "X-Request-Id": "abc-1"})
    (line,) = requests(lines)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("time"))
    assert 0 < line.pop("ms") < 10_000
    assert line == {
        "level": "info",
        "logger": "mmsearch.server.request",
        "message": "request",
        "request_id": "abc-1",
        "method": "GET",
        "route": "/v1/items/{key:path}",
        "status": 200,
        "bytes": len(response.content),
        "received_bytes": 0,
        "key": "reader",
    }


def test_no_key_and_nothing_that_was_asked_for_is_in_the_log(keyed: Keyed, lines: Lines) -> None:
    secret = keyed.write["Authorization"].split()[1]
    client = keyed.client
    client.get("/v1/search?q=private+wish", headers=keyed.write)
    client.post("/v1/search", json={"text": "private wish"}, headers=keyed.write)
    client.get("/v1/items/private%20wish", headers=keyed.write)
    client.get("/private-wish", headers=keyed.write)
    client.get("/v1/search?q=private", headers=bearer("private-guess"))
    client.request("PRIVATE", "/v1/search", headers=keyed.write)
    text = json.dumps(lines())
    assert len(requests(lines)) == 6
    assert secret not in text
    assert "private" not in text.lower()


def test_queries_are_in_the_log_where_the_operator_wants_them(
    still_shop: Path, lines: Lines
) -> None:
    with guarded(still_shop, ColourEncoder(), log_queries=True) as client:
        client.get("/v1/search?q=red+shoe")
        client.post("/v1/search", json={"text": "blue"})
        client.post("/v1/search", json={"terms": [{"text": "red"}, {"item": "P1"}]})
        client.post("/v1/search", content=b"[", headers={"Content-Type": "application/json"})
        client.get("/v1/suggest?q=gre")
        client.get("/v1/items/P1")
    asked = [line["query"] for line in requests(lines)]
    assert asked == ["red shoe", "blue", ["red", None], None, "gre", None]


def test_refusals_say_why(keyed: Keyed, lines: Lines) -> None:
    keyed.client.get("/v1/search")
    keyed.client.get("/v1/search", headers=bearer("x"))
    keyed.client.delete("/v1/items/P1", headers=keyed.read)
    keyed.client.get("/v1/items/a%00", headers=keyed.read)
    found = [(line["status"], line["refused"]) for line in requests(lines)]
    assert found == [(401, "no key"), (401, "wrong key"), (403, "scope"), (400, "path")]


def test_line_breaks_from_outside_make_no_line(address: str, lines: Lines) -> None:
    send_raw(address, [request("/v1/items/a%0d%0a%7b%22level%22:%22error%22%7d")])
    send_raw(address, [request("/healthz", headers=['X-Request-Id: a"} {\\n'])])
    # The log is written after the answer is sent.
    until = time.monotonic() + 5
    while len(requests(lines)) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert len(requests(lines)) == 2
    record = logging.makeLogRecord({"msg": "a\r\n\u2028\x1b[31m", "levelname": "INFO"})
    assert len(JsonFormatter().format(record).splitlines()) == 1


def test_the_servers_own_log_is_json_too(tmp_path: Path) -> None:
    script = """
import logging.config
logging.config.dictConfig({**__import__("mmsearch.server.logs").server.logs.config()})
logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
logging.getLogger("mmsearch.server").info("hello")
try: 1 / 0
except ZeroDivisionError: logging.getLogger("asyncio").exception("oh")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    found = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["logger"] for line in found] == ["uvicorn.error", "mmsearch.server", "asyncio"]
    assert "ZeroDivisionError" in found[2]["traceback"]
    assert config()["loggers"]["uvicorn"]["level"] == "WARNING"


# ---- ids


@pytest.mark.parametrize("given", ["abc", "3f2b-77", "Root=1-67891233-abcdef", "a" * 128])
def test_a_good_request_id_is_taken(local: TestClient, given: str) -> None:
    response = local.get("/v1/items/nothing", headers={"X-Request-Id": given})
    assert response.headers.get_list("x-request-id") == [given]
    assert response.json()["request_id"] == given


@pytest.mark.parametrize("given", ["", "a b", "a" * 129, 'a"', "a\tb", "<x>", "a;b", "\u00e9"])
def test_a_bad_request_id_is_replaced(local: TestClient, given: str) -> None:
    headers = [(b"X-Request-Id", given.encode("latin-1"))]
    (made,) = local.get("/healthz", headers=headers).headers.get_list("x-request-id")
    assert re.fullmatch(r"[0-9a-f]{32}", made)


def test_two_request_ids_are_none(local: TestClient) -> None:
    headers = [("X-Request-Id", "one"), ("X-Request-Id", "two")]
    assert len(local.get("/healthz", headers=headers).headers["x-request-id"]) == 32


# ---- bugs


def buggy(tmp_path: Path) -> FastAPI:
    app = FastAPI()
    app.state.metrics = Metrics()

    @app.get("/v1/collection")
    def collection() -> None:
        raise ZeroDivisionError("a secret of the server")

    guard(app, Settings(tmp_path))
    return app


def test_a_bug_is_a_problem_outside_and_a_traceback_in_the_log(
    tmp_path: Path, lines: Lines
) -> None:
    client = TestClient(buggy(tmp_path), base_url=LOCAL)
    response = client.get("/v1/collection", headers={"X-Request-Id": "abc"})
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.json()["request_id"] == "abc"
    assert "secret" not in response.text
    bug, line = lines()
    assert (bug["level"], bug["request_id"]) == ("error", "abc")
    assert "a secret of the server" in bug["traceback"]
    assert (line["level"], line["status"]) == ("error", 500)


# ---- figures


def figures(client: TestClient, headers: dict[str, str] | None = None) -> dict[str, float]:
    response = client.get("/metrics", headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    rows = [line.rpartition(" ") for line in response.text.splitlines() if line[:1] != "#"]
    return {name: float(value) for name, _, value in rows}


def test_metrics_count_by_template_status_and_reason(still_shop: Path, keyed: Keyed) -> None:
    with guarded(still_shop, ColourEncoder(), keys_file=keyed.file) as client:
        for key in ("P1", "P2", "nothing"):
            client.get(f"/v1/items/{key}", headers=keyed.read)
        client.get("/v1/search?q=red", headers=keyed.read)
        client.get("/v1/search?q=red")
        client.get("/anything/else")
        client.request("BREW", "/v1/search")
        found = figures(client, keyed.read)
    route = 'method="GET",route="/v1/items/{key:path}"'
    assert found[f'mmsearch_requests_total{{{route},status="200"}}'] == 2
    assert found[f'mmsearch_requests_total{{{route},status="404"}}'] == 1
    assert found['mmsearch_request_seconds_count{route="/v1/items/{key:path}"}'] == 3
    assert found['mmsearch_refused_total{reason="no key"}'] == 3
    assert found["mmsearch_requests_in_flight"] == 1  # the one that asks
    assert found['mmsearch_requests_total{method="GET",route="unknown",status="401"}'] == 1
    assert found['mmsearch_requests_total{method="other",route="unknown",status="401"}'] == 1
    assert found['mmsearch_stage_seconds_count{stage="total"}'] >= 1
    assert found['mmsearch_stage_seconds_count{stage="search"}'] >= 1
    assert found["mmsearch_batch_queries_count"] >= 1
    assert any(name.startswith("mmsearch_build_info{version=") for name in found)
    assert not any("nothing" in name or "anything" in name for name in found)


def unreadable() -> int:
    raise StorageError("cannot read the catalog")


def test_metrics_of_stages_batches_cache_and_lag() -> None:
    metrics = Metrics()
    told: list[tuple[str, float]] = []
    metrics.on_stage = lambda stage, seconds: told.append((stage, seconds))
    metrics.observe_stage("encode", 0.02)
    metrics.observe_batch(3)
    metrics.cache(True)
    metrics.cache(False)
    metrics.cache(False)
    assert "mmsearch_index_lag NaN" in metrics.render().decode().splitlines()
    metrics.watch_index_lag(lambda: 7)
    text = metrics.render().decode()
    for line in (
        'mmsearch_stage_seconds_sum{stage="encode"} 0.02',
        "mmsearch_batch_queries_sum 3.0",
        'mmsearch_cache_lookups_total{result="hit"} 1.0',
        'mmsearch_cache_lookups_total{result="miss"} 2.0',
        "mmsearch_index_lag 7.0",
    ):
        assert line in text.splitlines()
    assert told == [("encode", 0.02)]
    metrics.watch_index_lag(unreadable)
    assert "mmsearch_index_lag NaN" in metrics.render().decode().splitlines()
    assert "mmsearch_stage_seconds_sum{" not in Metrics().render().decode()  # its own registry


# ---- spans


def test_requests_and_stages_are_spans_of_the_callers_trace(tmp_path: Path) -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    spans = Tracing(provider)
    app = FastAPI()
    app.state.metrics = Metrics()

    @app.get("/v1/search")
    async def search() -> None:
        app.state.metrics.observe_stage("encode", 0.5)

    guard(app, Settings(tmp_path))
    for layer in app.user_middleware:  # as `from_environment` would have it
        if "tracing" in layer.kwargs:
            layer.kwargs["tracing"] = spans
    app.state.metrics.on_stage = spans.stage
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = {"traceparent": f"00-{trace}-{parent}-01", "X-Request-Id": "abc"}
    client = TestClient(app, base_url=LOCAL)
    client.get("/v1/search?q=private", headers=headers)
    client.get("/v1/nothing%0a")
    stage, whole, refused = kept.get_finished_spans()
    assert whole.name == "GET /v1/search"
    assert whole.context is not None
    assert whole.parent is not None
    assert f"{whole.context.trace_id:032x}" == trace
    assert f"{whole.parent.span_id:016x}" == parent
    assert dict(whole.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": "/v1/search",
        "http.response.status_code": 200,
        "mmsearch.request_id": "abc",
    }
    assert (stage.name, stage.parent) == ("encode", whole.context)
    assert stage.end_time is not None
    assert stage.start_time is not None
    assert stage.end_time - stage.start_time == 500_000_000
    assert refused.name == "GET unknown"
    assert (refused.attributes or {})["http.response.status_code"] == 400


ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "x"},
        {ENDPOINT: ""},
        {ENDPOINT: "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {ENDPOINT: "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_no_spans_unless_they_are_asked_for(environment: dict[str, str]) -> None:
    assert tracing.from_environment(environment) is None


def test_the_console_gets_spans_where_it_is_asked_for() -> None:
    script = """
from mmsearch.server import tracing
spans = tracing.from_environment({"OTEL_TRACES_EXPORTER": "console"})
spans.stage("encode", 0.25)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert '"name": "encode"' in done.stdout
    assert '"service.name": "mmsearch"' in done.stdout


def test_nothing_of_opentelemetry_is_imported_unasked(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from mmsearch.server.app import create_app
from mmsearch.server.settings import Settings
create_app(Settings(Path({str(tmp_path)!r})))
assert not [name for name in sys.modules if name.startswith("opentelemetry.sdk")]
"""
    subprocess.run([sys.executable, "-c", script], check=True, env={"PATH": ""})


def test_without_the_extra_the_log_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert tracing.from_environment({ENDPOINT: "http://127.0.0.1:1"}) is None
    (line,) = lines()
    assert "mmsearch[otel]" in line["message"]


def test_no_span_of_anyone_else_holds_a_query(tmp_path: Path) -> None:
    """FastAPI makes spans of its own wherever a process has a global provider."""
    script = f"""
from pathlib import Path
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient
kept, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(provider)
from mmsearch.server.app import create_app
from mmsearch.server.settings import Settings
client = TestClient(create_app(Settings(Path({str(tmp_path)!r}))), base_url="{LOCAL}")
assert client.get("/healthz?q=private").status_code == 200
assert not kept.get_finished_spans(), kept.get_finished_spans()[0].to_json()
"""
    subprocess.run([sys.executable, "-c", script], check=True)
