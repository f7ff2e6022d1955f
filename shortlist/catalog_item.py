"""An item of the live service's catalogue: when it may be shown, its content, and its message."""

from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from shortlist.live.v1 import catalog_service_pb2 as pb


@dataclass(frozen=True, kw_only=True, slots=True)
class Availability:
    """Never when ``hidden``; else from ``available_from`` until before ``available_until``, where they are given.

    Times are in nanoseconds since 1970.
    """

    hidden: bool = False
    available_from: int | None = None
    available_until: int | None = None

    def hides_at(self, now: int) -> bool:
        """Whether the item may not be shown at a time, in nanoseconds since 1970."""
        too_early = self.available_from is not None and now < self.available_from
        too_late = self.available_until is not None and now >= self.available_until
        return self.hidden or too_early or too_late

    def next_change(self, now: int) -> int | None:
        """The next time after ``now`` at which :meth:`hides_at` may change; None when there is none."""
        later = [time for time in (self.available_from, self.available_until) if time is not None and time > now]
        return min(later, default=None)


ALWAYS = Availability()
HIDDEN = Availability(hidden=True)


DELETED = b""
"""The content of a deleted item."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogItem:
    """An item, when it may be shown, and its content: a message ``ItemContent`` in bytes.

    ``content`` is None where none was put, and empty where it was deleted.
    """

    item_id: str
    availability: Availability = ALWAYS
    content: bytes | None = None

    @property
    def is_deleted(self) -> bool:
        """Whether it may not be shown until it is put again."""
        return self.content == DELETED


def read_availability(message: pb.Availability) -> Availability:
    """The domain object of a valid message."""
    return Availability(
        hidden=message.hidden,
        available_from=message.available_from.ToNanoseconds() if message.HasField("available_from") else None,
        available_until=message.available_until.ToNanoseconds() if message.HasField("available_until") else None,
    )


def availability_message(availability: Availability) -> pb.Availability:
    """The message of an availability."""
    return pb.Availability(
        hidden=availability.hidden,
        available_from=_timestamp(availability.available_from),
        available_until=_timestamp(availability.available_until),
    )


def content_bytes(content: pb.ItemContent) -> bytes:
    """The same bytes for the same content."""
    return content.SerializeToString(deterministic=True)


def item_message(item: CatalogItem) -> pb.Item:
    """The message of an item."""
    message = pb.Item(
        item_id=item.item_id, availability=availability_message(item.availability), deleted=item.is_deleted
    )
    if item.content:
        message.content.MergeFromString(item.content)
    return message


def read_item(message: pb.Item) -> CatalogItem:
    """The domain object of a message of the live service."""
    content = content_bytes(message.content) if message.HasField("content") else None
    return CatalogItem(
        item_id=message.item_id,
        availability=read_availability(message.availability),
        content=DELETED if message.deleted else content,
    )


def read_shown(message: pb.Item) -> Availability:
    """When the item of a message may be shown; never when it is deleted."""
    return HIDDEN if message.deleted else read_availability(message.availability)


def _timestamp(time: int | None) -> Timestamp | None:
    if time is None:
        return None
    message = Timestamp()
    message.FromNanoseconds(time)
    return message
