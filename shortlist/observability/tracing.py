"""OpenTelemetry traces: they show how calls follow each other and where time goes. Almost free until configured."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, Tracer, format_trace_id, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

# The names of OpenTelemetry's conventions for RPC.
_SYSTEM, _METHOD, _CODE = "rpc.system.name", "rpc.method", "rpc.response.status_code"
# The codes that those conventions count as the server's own errors; the others are the caller's.
_FAULTS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
_PROPAGATOR = TraceContextTextMapPropagator()
_HEADERS = ("traceparent", "tracestate")
_OFF = nullcontext()
_tracer: Tracer | None = None


def configure_tracing(endpoint: str | None, service_name: str) -> None:
    """Sends spans to a collector, by OTLP over gRPC, in a thread of its own; an empty ``endpoint`` turns tracing off.

    No call waits for the collector: spans are dropped when the queue is full or the collector is gone.

    Raises:
        ValueError: the tracing extra is not installed.
    """
    global _tracer
    if not endpoint:
        _tracer = None
        return
    require_exporter()
    from shortlist.observability.exporter import exporting_tracer

    _tracer = exporting_tracer(endpoint, service_name)


def require_exporter() -> None:
    """Checks that the tracing extra is installed.

    Raises:
        ValueError: it is not; says how to install it.
    """
    try:
        import shortlist.observability.exporter  # noqa: F401
    except ImportError as error:
        raise ValueError(f"--trace-endpoint needs pip install 'shortlist[tracing]': {error}") from error


def server_span(
    method: str, invocation_metadata: Iterable[tuple[str, str | bytes]] | None
) -> AbstractContextManager[object]:
    """The span of a received call, such as of ``/package.Service/Method``, while the block runs.

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
        # An error's text belongs only in the log; the status code marks the span as failed.
        record_exception=False,
        set_status_on_exception=False,
    )


def call_ended(code: str) -> None:
    """Records the call's status code, such as ``OK``, on the current :func:`server_span`."""
    if _tracer is None:
        return
    span = get_current_span()
    span.set_attribute(_CODE, code)
    if code in _FAULTS:
        span.set_status(StatusCode.ERROR)


def span(name: str, links: Sequence[SpanContext | None] = ()) -> AbstractContextManager[object]:
    """The span of one stage of this thread's call, while the block runs.

    A stage that serves several calls at once belongs to one of them and links to the others; their spans come from
    :func:`capture`.
    """
    return _OFF if _tracer is None else _stage(_tracer, name, links)


def capture() -> SpanContext | None:
    """This thread's current span, for a :func:`span` in another thread to link to; None without tracing."""
    return None if _tracer is None else get_current_span().get_span_context()


def inject(metadata: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Adds the current trace to a call's metadata. An application's own OpenTelemetry trace counts as well."""
    if not get_current_span().get_span_context().is_valid:
        return metadata
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return (*metadata, *carrier.items())


def current_trace_id() -> str:
    """The id of this thread's trace, 32 hexadecimal digits; empty outside a trace."""
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
            # Only the type: the text may contain parts of the request.
            stage.set_status(StatusCode.ERROR, type(error).__name__)
            raise


def _of_caller(metadata: Iterable[tuple[str, str | bytes]]) -> Context:
    """The caller's trace, or an empty context: never the trace of a call that this thread handled before."""
    carrier = {key: value for key, value in metadata if key in _HEADERS and isinstance(value, str)}
    return _PROPAGATOR.extract(carrier, Context())
