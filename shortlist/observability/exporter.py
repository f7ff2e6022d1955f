"""Sends spans to a collector. Imported only when one is configured: its libraries are an extra."""

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
# The library's default is 10 s, and a process would hang for as long at exit when the collector is gone.
_EXPORT_SECONDS = 2.0


def exporting_tracer(endpoint: str, service_name: str) -> Tracer:
    """A tracer that sends its spans to an OTLP endpoint such as ``http://collector:4317``, the last ones at exit."""
    # Its warnings are about callers' metadata, so any caller could fill the log.
    logging.getLogger("opentelemetry.trace").setLevel(logging.ERROR)
    exporter = _Exporter(endpoint=endpoint, timeout=_EXPORT_SECONDS)
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service_name}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    atexit.register(_end, exporter, provider)
    return provider.get_tracer("shortlist")


class _Exporter(OTLPSpanExporter):
    """Logs only changes: once when spans cannot be sent, and once when they can be sent again."""

    def __init__(self, *, endpoint: str, timeout: float) -> None:
        super().__init__(endpoint=endpoint, timeout=timeout)
        self.fails = self.ended = False
        self._target = endpoint
        # The library logs every failed attempt with its reason; the first error line is enough.
        otlp.logger.addFilter(lambda record: record.levelno >= logging.ERROR and not self.fails)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = super().export(spans)
        except ValueError:
            # The shutdown closed the channel between two attempts.
            if not self.ended:
                raise
            result = SpanExportResult.FAILURE
        fails = result is not SpanExportResult.SUCCESS
        if self.fails and not fails:
            _LOG.info("spans reach %s again", self._target)
        self.fails = fails
        return result


def _end(exporter: _Exporter, provider: TracerProvider) -> None:
    if exporter.fails:
        # The collector is gone, so the queued spans are dropped.
        exporter.ended = True
        exporter.shutdown()
    provider.shutdown()
