"""Sending spans to a collector. Imported only when there is one: its libraries are an extra."""

import atexit
import logging
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.grpc import exporter as otlp
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import Tracer

_LOG = logging.getLogger(__name__)
# With that of the library, 10 s, a process could not end for as long when the collector is gone.
_EXPORT_SECONDS = 2.0


def exporting_tracer(endpoint: str, service_name: str) -> Tracer:
    """What makes spans and sends them to an OTLP endpoint such as ``http://collector:4317``, also at exit."""
    # What they complain about is what callers sent, and anybody could fill the log.
    logging.getLogger("opentelemetry.trace").setLevel(logging.ERROR)
    exporter = _Exporter(endpoint=endpoint, timeout=_EXPORT_SECONDS)
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service_name}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    atexit.register(_end, exporter, provider)
    return provider.get_tracer("shortlist")


class _Exporter(OTLPSpanExporter):
    """Logs once that spans cannot be sent, and once that they can be again."""

    def __init__(self, *, endpoint: str, timeout: float) -> None:
        super().__init__(endpoint=endpoint, timeout=timeout)
        self.fails = self.ended = False
        self._target = endpoint
        # The library logs each attempt, with its reason.
        otlp.logger.addFilter(lambda record: record.levelno >= logging.ERROR and not self.fails)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = super().export(spans)
        except ValueError:
            # The channel was closed between two attempts.
            if not self.ended:
                raise
            result = SpanExportResult.FAILURE
        fails = result is not SpanExportResult.SUCCESS
        if self.fails and not fails:
            _LOG.info("spans are sent to %s again", self._target)
        self.fails = fails
        return result


def _end(exporter: _Exporter, provider: TracerProvider) -> None:
    if exporter.fails:
        # Nothing more of what waits is tried.
        exporter.ended = True
        exporter.shutdown()
    provider.shutdown()
