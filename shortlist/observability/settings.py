"""Flags for metrics and traces."""

import argparse
from dataclasses import dataclass
from urllib.parse import urlsplit

from shortlist.flags import add_setting, is_address, require
from shortlist.observability.tracing import require_exporter


@dataclass(frozen=True, kw_only=True)
class Observability:
    """Metrics and traces; both are off by default.

    ``metrics_listen`` is HOST:PORT, where Prometheus finds ``/metrics``. ``trace_endpoint`` is the URL of an
    OpenTelemetry collector that takes OTLP over gRPC, such as ``http://collector:4317``. OpenTelemetry reads sampling
    and resource attributes from its own variables, such as ``OTEL_TRACES_SAMPLER``.

    Raises:
        ValueError: a value is malformed.
    """

    metrics_listen: str = ""
    trace_endpoint: str = ""

    def __post_init__(self) -> None:
        metrics, traces = self.metrics_listen, self.trace_endpoint
        require(not metrics or is_address(metrics), "--metrics-listen", "HOST:PORT", metrics)
        require(not traces or _is_endpoint(traces), "--trace-endpoint", "http[s]://HOST:PORT", traces)


def add_observability(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of :class:`Observability`."""
    add_setting(
        parser,
        "--metrics-listen",
        default="",
        help="HOST:PORT for Prometheus, off when empty; each further worker takes the next port",
    )
    add_setting(parser, "--trace-endpoint", default="", help="URL of an OTLP gRPC collector for traces; off when empty")


def read_observability(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Observability:
    """The validated settings; an unusable value ends the process with exit code 2."""
    try:
        observability = Observability(metrics_listen=options.metrics_listen, trace_endpoint=options.trace_endpoint)
        if observability.trace_endpoint:
            require_exporter()
    except ValueError as error:
        parser.error(str(error))
    return observability


def worker_listen(listen: str, number: int) -> str:
    """The metrics address of worker ``number``, counted from 0: HOST:PORT + number; port 0 stays 0.

    Raises:
        ValueError: there is no such port.
    """
    host, _, port = listen.rpartition(":")
    address = f"{host}:{int(port) + number if int(port) else 0}"
    require(is_address(address), "--metrics-listen", f"a port that leaves {number} more for the workers", listen)
    return address


def _is_endpoint(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and bool(url.port)
    except ValueError:
        # The port is not a number.
        return False
