"""Why an answer is degraded: one set of names for the services, the client, the metrics and the logs."""

from enum import StrEnum, auto

from shortlist.ranking.v1.ranking_service_pb2 import DEGRADED_REASON_UNSPECIFIED, DegradedReason


class Degraded(StrEnum):
    """The stage and the cause, named as in ``shortlist.ranking.v1.DegradedReason``, which documents each."""

    RETRIEVAL_UNAVAILABLE = auto()
    RETRIEVAL_TIMEOUT = auto()
    BUNDLE_MISMATCH = auto()
    RANKER_FAILED = auto()
    DEADLINE = auto()
    QUEUE_TIMEOUT = auto()
    RETRIEVAL_CIRCUIT_OPEN = auto()
    RETRIEVAL_INVALID = auto()
    HISTORY_UNAVAILABLE = auto()


_NUMBERS = {reason: DegradedReason.Value(f"DEGRADED_REASON_{reason.name}") for reason in Degraded}
_NAMES = {int(number): reason.value for reason, number in _NUMBERS.items()}


def degraded_number(reason: Degraded | None) -> DegradedReason.ValueType:
    """The number of a reason on the wire."""
    return DEGRADED_REASON_UNSPECIFIED if reason is None else _NUMBERS[reason]


def degraded_name(number: int) -> str:
    """The name of a number on the wire; empty for no reason, "unknown" for one of a newer release."""
    return _NAMES.get(number, "unknown") if number else ""
