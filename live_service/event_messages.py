"""From recorded events to messages."""

from live_service.events import Listed
from shortlist.live.v1 import event_service_pb2 as pb


def event_message(listed: Listed) -> pb.ListedEvent:
    """The message of an event in the list of all events."""
    event = listed.event
    message = pb.ListedEvent(position=listed.position)
    message.event.event_id, message.event.user_id = event.event_id, event.user_id
    message.event.item_id, message.event.event = event.item_id, event.event
    message.event.time.FromNanoseconds(event.time)
    message.event.recommendation_id = event.recommendation_id
    if event.value is not None:
        message.event.value = event.value
    for item_id, position in event.shown:
        message.event.shown.add(item_id=item_id, position=position)
    return message
