"""Traces by OpenTelemetry: which call led to which, and where the time went. Next to free until it is configured."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, Tracer, format_trace_id, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

# The names of OpenTelemetry's conventions for RPC.
_SYSTEM, _METHOD, _CODE = "rpc.system.name", "rpc.method", "rpc.response.status_code"
# What those conventions call a server's own fault; with the rest it was the caller's.
_FAULTS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
_PROPAGATOR = TraceContextTextMapPropagator()
_HEADERS = ("traceparent", "tracestate")
_OFF = nullcontext()
_tracer: Tracer | None = None


def configure_tracing(endpoint: str | None, service_name: str) -> None:
    """From now on sends spans to a collector, by OTLP over gRPC, in a thread of its own; to none without ``endpoint``.

    No call waits for it: spans that find the queue full, or the collector gone, are dropped.

    Raises:
        ValueError: the libraries for that are not installed.
    """
    global _tracer
    if not endpoint:
        _tracer = None
        return
    require_exporter()
    from shortlist.observability.exporter import exporting_tracer

    _tracer = exporting_tracer(endpoint, service_name)


def require_exporter() -> None:
    """Checks that spans can be sent.

    Raises:
        ValueError: the libraries for that are not installed; says how they can be.
    """
    try:
        import shortlist.observability.exporter  # noqa: F401
    except ImportError as error:
        raise ValueError(f"--trace-endpoint needs pip install 'shortlist[tracing]': {error}") from error


def server_span(
    method: str, invocation_metadata: Iterable[tuple[str, str | bytes]] | None
) -> AbstractContextManager[object]:
    """The span of a call that came in, such as of ``/package.Service/Method``, while the block runs.

    Continues the caller's trace when the metadata has a valid ``traceparent``.
    """
    if _tracer is None:
        return _OFF
    name = method.removeprefix("/")
    return _tracer.start_as_current_span(
        name,
        context=_of_caller(invocation_metadata or ()),
        kind=SpanKind.SERVER,
        attributes={_SYSTEM: "grpc", _METHOD: name},
        # Its text is for the log alone, and that it failed is told by its code.
        record_exception=False,
        set_status_on_exception=False,
    )


def call_ended(code: str) -> None:
    """Within :func:`server_span`: with which status code, such as ``OK``, the call is answered."""
    if _tracer is None:
        return
    span = get_current_span()
    span.set_attribute(_CODE, code)
    if code in _FAULTS:
        span.set_status(StatusCode.ERROR)


def span(name: str, links: Sequence[SpanContext | None] = ()) -> AbstractContextManager[object]:
    """A stage of the call that this thread handles, while the block runs.

    A stage that works for several calls at once is part of one of them, and ``links`` to the others, which each said
    by :func:`capture` who they are.
    """
    return _OFF if _tracer is None else _stage(_tracer, name, links)


def capture() -> SpanContext | None:
    """The span that this thread is in, for a ``span`` in another thread to link to; None without tracing."""
    return None if _tracer is None else get_current_span().get_span_context()


def inject(metadata: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """A call's metadata, and with it the trace that the caller is in.

    That may also be one of an application with an OpenTelemetry of its own.
    """
    if not get_current_span().get_span_context().is_valid:
        return metadata
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return (*metadata, *carrier.items())


def current_trace_id() -> str:
    """The trace that this thread is in, as 32 hexadecimal digits; empty when in none."""
    if _tracer is None:
        return ""
    context = get_current_span().get_span_context()
    return format_trace_id(context.trace_id) if context.is_valid else ""


@contextmanager
def _stage(tracer: Tracer, name: str, links: Sequence[SpanContext | None]) -> Iterator[None]:
    own = get_current_span().get_span_context()
    others = [Link(one) for one in links if one is not None and one.span_id != own.span_id]
    with tracer.start_as_current_span(
        name, links=others, record_exception=False, set_status_on_exception=False
    ) as stage:
        try:
            yield
        except Exception as error:
            # Its text may have what was asked for.
            stage.set_status(StatusCode.ERROR, type(error).__name__)
            raise


def _of_caller(metadata: Iterable[tuple[str, str | bytes]]) -> Context:
    """The caller's trace, else none: not that of a call which this thread handled before."""
    carrier = {key: value for key, value in metadata if key in _HEADERS and isinstance(value, str)}
    return _PROPAGATOR.extract(carrier, Context())
