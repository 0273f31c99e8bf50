"""Spans of requests and stages, for a deployment that collects them with OpenTelemetry.

Nothing of it is imported unless the OTEL_* variables ask for it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import mmsearch
from mmsearch.server.security.access import Route

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

log = logging.getLogger("mmsearch.server")

_WANTED = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_TRACES_EXPORTER",
)


class Tracing:
    """Makes spans with one provider. For any thread."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("mmsearch", mmsearch.__version__)

    @contextmanager
    def request(
        self,
        route: Route,
        request_id: str,
        headers: Iterable[tuple[bytes, bytes]],
        status: Callable[[], int],
    ) -> Iterator[None]:
        """A span of one request, beneath the caller's where it sent `traceparent`.

        Attributes after OpenTelemetry's semantic conventions for HTTP; no address, no query.
        """
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind, StatusCode

        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        with self._tracer.start_as_current_span(
            f"{route.method} {route.template}",
            context=extract(carrier),
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": route.method,
                "http.route": route.template,
                "mmsearch.request_id": request_id,
            },
        ) as span:
            yield
            span.set_attribute("http.response.status_code", status())
            if status() >= 500:
                span.set_status(StatusCode.ERROR)

    def stage(self, stage: str, seconds: float) -> None:
        """A span of what has just ended: of the request, or by itself on the search thread."""
        now = time.time_ns()
        self._tracer.start_span(stage, start_time=now - round(seconds * 1e9)).end(now)


def from_environment(environment: Mapping[str, str] = os.environ) -> Tracing | None:
    """What the OTEL_* variables ask for; None where they ask for nothing.

    Endpoint, headers, sampling, service name and attributes are OpenTelemetry's own variables.
    """
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporter == "none":
        return None
    if not any(environment.get(name) for name in _WANTED):
        return None
    try:
        return Tracing(_provider(exporter, environment))
    except ImportError as error:
        log.warning(
            "no spans, though OTEL_* asks for them: pip install 'mmsearch[otel]': %s", error
        )
        return None


def _provider(exporter: str, environment: Mapping[str, str]) -> TracerProvider:
    """Raises ImportError without the extra."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import (
        BatchSpanProcessor,
        ConsoleSpanExporter,
        SpanExporter,
    )

    sent_by: SpanExporter
    if exporter == "console":
        sent_by = ConsoleSpanExporter()
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        sent_by = OTLPSpanExporter()
    named: dict[str, Any] = (
        {} if environment.get("OTEL_SERVICE_NAME") else {"service.name": "mmsearch"}
    )
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(sent_by))  # sends the rest at exit
    return provider
