"""Traces, from a caller through two servers on real sockets to a collector."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import argparse
import atexit
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TypeAlias

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from shortlist.observability import tracing
from shortlist.observability.exporter import _Exporter
from shortlist.observability.settings import add_observability, read_observability
from tests.support.collector import Collector, listening

Handle = Callable[[], str]
Call: TypeAlias = "grpc.UnaryUnaryMultiCallable[bytes, bytes]"
Serve = Callable[[str, Handle], "Call"]
FRONT, BACK = "/test.v1.Front/Say", "/test.v1.Back/Say"
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"
_SECONDS = 10.0
# Makes calls with stages while the collector is gone. Prints the slowest in seconds, and waits for two exports.
UNREACHABLE = """
import socket, time
from shortlist.observability.logs import configure_logs
from shortlist.observability.tracing import configure_tracing, server_span, span
configure_logs(json=False)
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
configure_tracing(f"http://127.0.0.1:{port}", "test")
slowest, end = 0.0, time.monotonic() + 5
while time.monotonic() < end:
    started = time.perf_counter()
    for _ in range(10):
        with server_span("/test.v1.Front/Say", ()), span("stage"):
            pass
    slowest = max(slowest, time.perf_counter() - started)
    time.sleep(0.001)
print(slowest, time.time(), flush=True)
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that listens on a free port."""
    collector = Collector()
    server = listening(collector)
    yield collector
    server.stop(None).wait()


@contextmanager
def configured(endpoint: str) -> Iterator[None]:
    """Sends this process's spans to an endpoint, a hundred times as often as in production, and flushes them at last.

    Runs the exit handlers while the collector still listens, so that later tests see no complaint.
    """
    ends: list[Callable[[], None]] = []
    with pytest.MonkeyPatch.context() as until_then:
        until_then.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        until_then.setattr(atexit, "register", lambda end, *arguments: ends.append(partial(end, *arguments)))
        tracing.configure_tracing(endpoint, "test")
    try:
        yield
    finally:
        tracing.configure_tracing(None, "")
        for end in ends:
            end()


@pytest.fixture
def traced(collector: Collector) -> Iterator[Collector]:
    """The collector of this process's spans."""
    with configured(collector.endpoint):
        yield collector


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server with one method that returns the result of ``handle``; gives a function that calls it."""
    servers: list[grpc.Server] = []

    def serve(method: str, handle: Handle) -> Call:
        def behaviour(request: bytes, context: grpc.ServicerContext) -> bytes:
            with tracing.server_span(method, context.invocation_metadata()):
                answer = handle().encode()
                tracing.call_ended("OK")
                return answer

        _, service, name = method.split("/")
        server = grpc.server(ThreadPoolExecutor(2))
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(behaviour)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {name: handler})])
        channel = grpc.insecure_channel(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
        server.start()
        servers.append(server)
        call: Call = channel.unary_unary(method)
        return call

    yield serve
    for server in servers:
        server.stop(None).wait()


def test_one_trace_leads_from_the_caller_through_both_servers(traced: Collector, serve: Serve) -> None:
    """A slow call's trace contains the nested call; each span lies below its caller's, in the caller's own trace."""
    back = serve(BACK, tracing.current_trace_id)

    def handle() -> str:
        with tracing.span("stage"):
            answer: bytes = back(b"", metadata=tracing.inject((("authorization", "kept"),)))
            return f"{tracing.current_trace_id()} {answer.decode()}"

    answer = serve(FRONT, handle)(b"", metadata=(("traceparent", TRACEPARENT), ("tracestate", "vendor=1")))
    assert answer.decode() == f"{TRACE} {TRACE}"
    front, stage, nested = traced.take(FRONT[1:], "stage", BACK[1:])
    assert {span.trace_id.hex() for span in (front, stage, nested)} == {TRACE}
    assert front.parent_span_id.hex() == CALLER
    assert stage.parent_span_id == front.span_id
    assert nested.parent_span_id == stage.span_id
    assert nested.trace_state == "vendor=1"
    assert (front.kind, stage.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_INTERNAL)
    assert {one.key: one.value.string_value for one in front.attributes} == {
        "rpc.system.name": "grpc",
        "rpc.method": FRONT[1:],
        "rpc.response.status_code": "OK",
    }


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "nonsense",
        f"00-{TRACE}-{CALLER}",
        f"00-{TRACE.upper()}-{CALLER}-01",
        f"00-{'0' * 32}-{CALLER}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{CALLER}-01",
        f"{TRACEPARENT}-{'x' * 1000}",
    ],
)
def test_a_malformed_traceparent_is_ignored(
    traceparent: str, traced: Collector, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """A bad header can neither fail a call nor fill the log: the call begins its own trace."""
    found = serve(FRONT, tracing.current_trace_id)(b"", metadata=(("traceparent", traceparent),)).decode()
    assert len(found) == 32
    assert found != TRACE
    assert traced.take(FRONT[1:])[0].parent_span_id == b""
    assert caplog.records == []


@pytest.mark.parametrize("tracestate", ["no pair", "A=1", "a=1,a=2", "a=" + "x" * 1000])
def test_a_malformed_tracestate_is_dropped(
    tracestate: str, traced: Collector, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """The trace continues, and the malformed state is not passed on."""
    metadata = (("traceparent", TRACEPARENT), ("tracestate", tracestate))
    assert serve(FRONT, tracing.current_trace_id)(b"", metadata=metadata).decode() == TRACE
    assert traced.take(FRONT[1:])[0].trace_state == ""
    assert caplog.records == []


def test_a_call_is_not_in_the_trace_of_its_predecessor(traced: Collector, serve: Serve) -> None:
    """A server's thread keeps nothing of the last call that it handled."""
    call = serve(FRONT, tracing.current_trace_id)
    first = call(b"", metadata=(("traceparent", TRACEPARENT),)).decode()
    others = {call(b"").decode() for _ in range(5)}
    assert first == TRACE
    assert len(others) == 5
    assert TRACE not in others


def test_a_batch_is_part_of_one_call_and_links_to_the_others(traced: Collector) -> None:
    """The work of a call that another call's thread answered can be found, too."""
    captured = []
    for number in (1, 2):
        with tracing.server_span(f"/other/{number}", ()):
            captured.append(tracing.capture())
    with tracing.server_span("/leader", ()), tracing.span("batch", links=[*captured, tracing.capture()]):
        pass
    leader, batch, first, second = traced.take("leader", "batch", "other/1", "other/2")
    assert batch.parent_span_id == leader.span_id
    assert [(link.trace_id, link.span_id) for link in batch.links] == [
        (other.trace_id, other.span_id) for other in (first, second)
    ]


@pytest.mark.parametrize(
    ("code", "status"), [("INTERNAL", Status.STATUS_CODE_ERROR), ("NOT_FOUND", Status.STATUS_CODE_UNSET)]
)
def test_only_a_fault_of_the_server_is_an_error(
    code: str, status: Status.StatusCode.ValueType, traced: Collector
) -> None:
    """A search for errors does not find those of callers."""
    with tracing.server_span("/call", ()):
        tracing.call_ended(code)
    assert traced.take("call")[0].status.code == status


def test_a_failed_stage_has_the_exceptions_type_but_not_its_text(traced: Collector) -> None:
    """The text may contain parts of a request, which no collector may keep."""
    with pytest.raises(KeyError), tracing.span("stage"):
        raise KeyError("user 196")
    (stage,) = traced.take("stage")
    assert (stage.status.code, stage.status.message) == (Status.STATUS_CODE_ERROR, "KeyError")
    assert b"196" not in stage.SerializeToString()


@pytest.mark.alone
def test_a_missing_collector_delays_no_call() -> None:
    """Spans are dropped, no call waits, the log has one line, and the process still ends at once."""
    done = subprocess.run([sys.executable, "-c", UNREACHABLE], check=True, capture_output=True, text=True)
    slowest, ended = (float(text) for text in done.stdout.split())
    assert slowest < 0.5
    assert time.time() - ended < 3
    assert done.stderr.count("Failed to export traces") == 1
    assert "UNAVAILABLE" in done.stderr
    assert "Traceback" not in done.stderr
    # The library also logs a full queue, every few seconds and not for each span.
    assert len(done.stderr.splitlines()) <= 5


def test_the_return_of_the_collector_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The log shows the end of the outage as well as its beginning; no restart is needed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def call_until_logged(text: str) -> None:
        end = time.monotonic() + _SECONDS
        while text not in caplog.text:
            assert time.monotonic() < end
            with tracing.server_span("/call", ()):
                time.sleep(0.01)

    with caplog.at_level("INFO"), ExitStack() as server:
        with configured(f"http://127.0.0.1:{port}"):
            call_until_logged("Failed to export traces")
            collector = Collector()
            server.callback(listening(collector, port).stop, None)
            call_until_logged("again")
        assert collector.take("call")


def test_a_channel_that_closes_between_two_attempts_is_no_error_at_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends while its collector is gone leaves no traceback; before the exit it is an error."""

    def closed(*_: object) -> None:
        raise ValueError("Cannot invoke RPC on closed channel!")

    monkeypatch.setattr(OTLPSpanExporter, "export", closed)
    exporter = _Exporter(endpoint="http://127.0.0.1:4317", timeout=1.0)
    with pytest.raises(ValueError, match="closed channel"):
        exporter.export([])
    exporter.ended = True
    assert exporter.export([]) is SpanExportResult.FAILURE


def test_tracing_is_free_without_a_collector() -> None:
    """Switched off, tracing adds nothing to a call and loads no library."""
    code = (
        "import sys\nfrom shortlist.observability import tracing\n"
        "with tracing.server_span('/call', (('traceparent', '00'),)), tracing.span('stage', [tracing.capture()]):\n"
        "    tracing.call_ended('OK')\n"
        "    print(tracing.inject((('a', 'b'),)), repr(tracing.current_trace_id()), tracing.capture())\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["(('a', 'b'),) '' None", "[]"]


def test_an_applications_own_trace_is_continued() -> None:
    """An application with its own OpenTelemetry sees the call in its trace, without configuring ours."""
    theirs = NonRecordingSpan(SpanContext(int(TRACE, 16), int(CALLER, 16), False, TraceFlags(1)))
    with use_span(theirs):
        assert tracing.inject((("a", "b"),)) == (("a", "b"), ("traceparent", TRACEPARENT))
    assert tracing.inject(()) == ()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the libraries, the flag for traces ends with advice before anything starts."""
    monkeypatch.delitem(sys.modules, "shortlist.observability.exporter", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(ValueError, match=r"pip install 'shortlist\[tracing\]'"):
        tracing.configure_tracing("http://127.0.0.1:4317", "test")
    parser = argparse.ArgumentParser()
    add_observability(parser)
    with pytest.raises(SystemExit):
        read_observability(parser, parser.parse_args(["--trace-endpoint", "http://127.0.0.1:4317"]))
    assert "shortlist[tracing]" in capsys.readouterr().err
