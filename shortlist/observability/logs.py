"""Log lines: text for a terminal, JSON for a collector. No line contains a user, an item or a vector."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime

import grpc
from pythonjsonlogger.json import JsonFormatter

from shortlist.degraded import degraded_name
from shortlist.observability.tracing import current_trace_id

_CALLS, _ANNOUNCED = logging.getLogger("shortlist.calls"), logging.getLogger("shortlist.announced")
_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_FIELDS = {"asctime": "time", "levelname": "level", "name": "logger", "message": "message", "exc_info": "exc"}
_logs_calls = False


def configure_logs(*, json: bool) -> None:
    """Logs records from INFO up to stderr. With ``json``, each record is one JSON line, and calls are logged too."""
    global _logs_calls
    handler, announcer = logging.StreamHandler(), logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonLines() if json else logging.Formatter(_TEXT))
    announcer.setFormatter(_JsonLines() if json else logging.Formatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    _ANNOUNCED.handlers, _ANNOUNCED.propagate = [announcer], False
    _logs_calls = json


def announce(text: str) -> None:
    """Writes a line to stdout, for which a starter of the process may wait: as text, or in JSON logs as JSON."""
    _ANNOUNCED.info(text)


def log_call(
    method: str, code: str, seconds: float, request: object, response: object, context: grpc.ServicerContext
) -> None:
    """Logs an answered call in one line, in JSON logs only: its bundle, why it is degraded, its caller and trace."""
    if not _logs_calls:
        return
    fields = {
        "method": method,
        "code": code,
        "seconds": round(seconds, 6),
        "bundle_id": "" if response is None else _bundle_id(request, response),
        "degraded_reason": degraded_name(getattr(response, "degraded_reason", 0)),
        "peer": _peer_identity(context),
        "trace_id": current_trace_id(),
    }
    _CALLS.info("call", extra=fields)


class _JsonLines(JsonFormatter):
    def __init__(self) -> None:
        super().__init__([name for name in _FIELDS if name != "exc_info"], rename_fields=_FIELDS)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _bundle_id(request: object, response: object) -> str:
    """The bundle that answered: where the response lacks its id, the request asked for that bundle and no other."""
    of_batch, described = getattr(response, "responses", ())[:1], getattr(response, "bundle", None)
    named = (getattr(message, "bundle_id", "") for message in (response, *of_batch, described, request))
    return next(filter(None, named), "")


def _peer_identity(context: grpc.ServicerContext) -> str:
    """The names in the caller's certificate; empty in plaintext."""
    authentication = context.auth_context()
    # The stubs declare one bytes value; gRPC returns several.
    names: Iterable[bytes] = authentication.get("x509_subject_alternative_name", ())  # type: ignore[assignment]
    return ",".join(name.decode(errors="replace") for name in names)
