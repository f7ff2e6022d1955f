"""Until when an answer is of use to its caller."""

import time

import grpc

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
