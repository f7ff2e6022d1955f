"""The moment until which a caller waits for its answer."""

import time

import grpc

from shortlist.errors import CallerGone, DeadlineExceeded
from shortlist.limits import DEFAULT_TIMEOUT_SECONDS

_LONGEST_DEADLINE_SECONDS = 3600.0


def deadline_of(context: grpc.ServicerContext) -> float:
    """The moment, in the seconds of ``time.monotonic``, at which the caller stops waiting."""
    left = context.time_remaining()
    # gRPC gives a call without a deadline one in the year 2262, and no timeout can be made from that.
    if left is None or left > _LONGEST_DEADLINE_SECONDS:
        left = DEFAULT_TIMEOUT_SECONDS
    return time.monotonic() + left


def seconds_until(deadline: float) -> float:
    """The seconds left until a moment of ``time.monotonic``, at least 0."""
    return max(0.0, deadline - time.monotonic())


def require_wanted(context: grpc.ServicerContext, deadline: float) -> None:
    """Ends a long call, between two of its steps, when nobody waits for its answer.

    Raises:
        DeadlineExceeded: the deadline has passed.
        CallerGone: the caller has cancelled the call.
    """
    if time.monotonic() >= deadline:
        raise DeadlineExceeded("the deadline passed before all queries were answered")
    if not context.is_active():
        raise CallerGone("the call was cancelled before all queries were answered")
