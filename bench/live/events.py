"""Events of the benchmark, and their recording."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from shortlist.live.v1 import event_service_pb2 as pb
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub

CALL_SECONDS = 10.0
Figures = dict[str, float]


def event(event_id: str, user_id: str, item_id: str) -> pb.Event:
    """An event of now."""
    moment = Timestamp()
    moment.GetCurrentTime()
    return pb.Event(event_id=event_id, user_id=user_id, item_id=item_id, time=moment)


def record(live: EventServiceStub, events: list[pb.Event]) -> int:
    """Records events; returns the position. Ends the program when one is not recorded."""
    response = live.RecordEvents(pb.RecordEventsRequest(events=events), timeout=CALL_SECONDS)
    if any(status.outcome != pb.EVENT_OUTCOME_RECORDED for status in response.statuses):
        raise SystemExit("an event was not recorded")
    return int(response.position)
