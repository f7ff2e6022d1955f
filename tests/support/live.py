"""Callers of a live service."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import time
from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from shortlist.live.v1 import event_service_pb2 as pb
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub


def record(live: EventServiceStub, user_id: str, items: Sequence[str], now: float | None = None) -> int:
    """Records a view of each item, one second after the other; returns the position."""
    now = time.time() - len(items) if now is None else now
    events = [
        pb.Event(
            event_id=f"{user_id}-{item}-{place}-{now}",
            user_id=user_id,
            item_id=item,
            event="view",
            time=Timestamp(seconds=int(now) + place),
        )
        for place, item in enumerate(items)
    ]
    return int(live.RecordEvents(pb.RecordEventsRequest(events=events)).position)


def forget(live: EventServiceStub, *user_ids: str) -> None:
    """Forgets users."""
    for user_id in user_ids:
        live.ForgetUser(pb.ForgetUserRequest(user_id=user_id))
