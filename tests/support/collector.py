"""A collector of traces, for tests to look at."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_SECONDS = 10.0


class Collector(TraceServiceServicer):
    """Takes OTLP over gRPC at ``endpoint``, and keeps the latest span of each name."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.spans: dict[str, Span] = {}

    def Export(self, request: ExportTraceServiceRequest, context: grpc.ServicerContext) -> ExportTraceServiceResponse:  # noqa: N802
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans.update({span.name: span for span in scope.spans})
        return ExportTraceServiceResponse()

    def take(self, *names: str) -> list[Span]:
        """These spans, once all of them have come."""
        end = time.monotonic() + _SECONDS
        while not self.spans.keys() >= set(names):
            assert time.monotonic() < end, f"of {names} came {list(self.spans)}"
            time.sleep(0.01)
        return [self.spans.pop(name) for name in names]


def listening(collector: Collector, port: int = 0) -> grpc.Server:
    """A running server of a collector, on a free port unless one is named."""
    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
    server.start()
    return server
