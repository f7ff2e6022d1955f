"""Checks events one by one: a bad one is refused by itself, and the rest of its call is recorded."""

import time
from collections.abc import Sequence

from live_service.events import Event
from live_service.settings import Retention
from shortlist.errors import FieldViolation, InvalidRequest
from shortlist.limits import MAX_ID_BYTES, MAX_LIMIT, MAX_VALUE
from shortlist.live.v1 import event_service_pb2 as pb
from shortlist.wire.request_check import RequestCheck

# Clocks of callers differ a little.
_MOST_AHEAD_SECONDS = 60
_MOST_POSITION = 2**31 - 1


class EventCheck:
    """Checks messages of events against the limits and the ``retention`` of the store."""

    def __init__(self, retention: Retention) -> None:
        self._retention = retention

    def read(self, message: pb.Event) -> Event | FieldViolation:
        """The event, or its first violation."""
        check = RequestCheck()
        _check_ids(check, message)
        _check_content(check, message)
        self._check_time(check, message)
        try:
            check.done()
        except InvalidRequest as error:
            return error.violations[0]
        return Event(
            event_id=message.event_id,
            user_id=message.user_id,
            item_id=message.item_id,
            event=message.event,
            value=message.value if message.HasField("value") else None,
            time=message.time.seconds * 1_000_000_000 + message.time.nanos,
            recommendation_id=message.recommendation_id,
            shown=tuple((shown.item_id, shown.position) for shown in message.shown),
            retracts=message.retracts,
        )

    def _check_time(self, check: RequestCheck, message: pb.Event) -> None:
        if not message.HasField("time"):
            check.require(False, "time", "is unset; say when the event happened")
            return
        nanos, ahead = message.time.nanos, message.time.seconds - time.time()
        check.require(0 <= nanos < 1_000_000_000, "time.nanos", "has to be 0 to 999,999,999")
        check.require(
            ahead <= _MOST_AHEAD_SECONDS,
            "time",
            f"is {ahead:.0f} s ahead of this service's clock; at most {_MOST_AHEAD_SECONDS} s are accepted",
        )
        check.require(message.time.seconds >= 0, "time", "is before 1970")
        check.require(
            message.time.seconds >= self._retention.oldest_seconds(),
            "time",
            f"is more than {self._retention.days} days ago, and older events are not kept",
        )


def _check_ids(check: RequestCheck, message: pb.Event) -> None:
    says_item = not (message.retracts or message.shown)
    for field, value, is_required in (
        ("event_id", message.event_id, True),
        ("user_id", message.user_id, True),
        ("item_id", message.item_id, says_item),
        ("event", message.event, False),
        ("recommendation_id", message.recommendation_id, False),
        ("retracts", message.retracts, False),
    ):
        check_id(check, value, field, is_required=is_required)


def check_id(check: RequestCheck, value: str, field: str, *, is_required: bool = True) -> None:
    """Requires at most ``MAX_ID_BYTES`` bytes, one at least where the id is required, and no NUL."""
    size = len(value.encode())
    least = int(is_required)
    check.require(least <= size <= MAX_ID_BYTES, field, f"has {size} bytes; has to have {least} to {MAX_ID_BYTES}")
    # No database keeps it in a text.
    check.require("\0" not in value, field, "has a NUL character")


def _check_content(check: RequestCheck, message: pb.Event) -> None:
    finite = not message.HasField("value") or abs(message.value) <= MAX_VALUE
    check.require(finite, "value", "is not a finite number of 32 bits")
    if message.retracts:
        alone = not (message.item_id or message.event or message.HasField("value") or message.shown)
        check.require(alone, "retracts", "takes an event back, so item_id, event, value and shown have to be empty")
        check.require(message.retracts != message.event_id, "retracts", "is the id of this very event")
    count = len(message.shown)
    check.require(count <= MAX_LIMIT, "shown", f"has {count} items; at most {MAX_LIMIT} are accepted")
    _check_shown(check, message.shown[:MAX_LIMIT])


def _check_shown(check: RequestCheck, items: Sequence[pb.ShownItem]) -> None:
    for place, shown in enumerate(items):
        check_id(check, shown.item_id, f"shown[{place}].item_id")
        check.require(shown.position >= 0, f"shown[{place}].position", "is negative; the first place is 0")
