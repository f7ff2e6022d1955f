"""Until when an answer is of use to its caller."""

import time

import grpc

from shortlist.errors import CallerGone, DeadlineExceeded

# A call without a deadline gets one: nobody waits for a list any longer.
DEFAULT_DEADLINE_SECONDS = 1.0
_LONGEST_DEADLINE_SECONDS = 3600.0


def deadline_of(context: grpc.ServicerContext) -> float:
    """The moment, in the seconds of ``time.monotonic``, at which the caller gives up."""
    left = context.time_remaining()
    # A call without a deadline has, to gRPC, one in the year 2262, which no timeout of ours can be made from.
    if left is None or left > _LONGEST_DEADLINE_SECONDS:
        left = DEFAULT_DEADLINE_SECONDS
    return time.monotonic() + left


def require_wanted(context: grpc.ServicerContext, deadline: float) -> None:
    """Ends a call of several parts, between two of them, when its answer is of no use any more.

    Raises:
        DeadlineExceeded: the deadline has passed.
        CallerGone: the caller has cancelled.
    """
    if time.monotonic() >= deadline:
        raise DeadlineExceeded("the deadline passed before all was answered")
    if not context.is_active():
        raise CallerGone("the call was cancelled before all was answered")
