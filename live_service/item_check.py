"""Checks items one by one: a bad one is refused by itself, and the rest of its call is stored."""

import math

from google.protobuf.timestamp_pb2 import Timestamp

from live_service.event_check import check_id
from live_service.item_change import ItemChange
from shortlist.catalog_item import content_bytes, read_availability
from shortlist.errors import FieldViolation, InvalidRequest
from shortlist.limits import MAX_COLUMNS, MAX_ITEM_BYTES, MAX_NUMBERS, MAX_TEXT_BYTES, MAX_TEXTS, MAX_VALUE
from shortlist.live.v1 import catalog_service_pb2 as pb
from shortlist.wire.request_check import RequestCheck, entry

_MOST_SECONDS = 2**33


def read_put(message: pb.Item) -> ItemChange | FieldViolation:
    """The change that stores an item, or its first violation."""
    check = RequestCheck()
    check_id(check, message.item_id, "item_id")
    check.require(not message.deleted, "deleted", "is set for an item that is put")
    content = content_bytes(message.content)
    _check_content(check, message.content, len(content))
    check_availability(check, message.availability, "availability")
    try:
        check.done()
    except InvalidRequest as error:
        return error.violations[0]
    is_said = message.HasField("availability")
    availability = read_availability(message.availability) if is_said else None
    return ItemChange(item_id=message.item_id, availability=availability, content=content)


def check_availability(check: RequestCheck, asked: pb.Availability, field: str) -> None:
    """Requires times within range that a hidden item does not have, and that follow each other."""
    times = [
        _time(check, asked, getattr(asked, name), f"{field}.{name}")
        for name in ("available_from", "available_until")
        if asked.HasField(name)
    ]
    in_order = len(times) < 2 or times[0] < times[1]
    check.require(in_order, f"{field}.available_until", "is not later than available_from")


def _time(check: RequestCheck, asked: pb.Availability, time: Timestamp, field: str) -> tuple[int, int]:
    check.require(0 <= time.nanos < 1_000_000_000, f"{field}.nanos", "has to be 0 to 999,999,999")
    check.require(0 <= time.seconds < _MOST_SECONDS, field, "is before 1970, or out of range")
    check.require(not asked.hidden, field, "is set for items that are hidden at all times")
    return time.seconds, time.nanos


def _check_content(check: RequestCheck, content: pb.ItemContent, size: int) -> None:
    field, count = "content.columns", len(content.columns)
    check.require(size > 0, "content", "is empty; has to have columns, a vector or both")
    check.require(size <= MAX_ITEM_BYTES, "content", f"has {size} bytes; at most {MAX_ITEM_BYTES} are accepted")
    check.require(count <= MAX_COLUMNS, field, f"has {count} columns; at most {MAX_COLUMNS} are accepted")
    if count <= MAX_COLUMNS:
        for name, cell in content.columns.items():
            check_id(check, name, entry(field, name))
            _check_cell(check, cell, entry(field, name))
    if content.HasField("vector"):
        check_id(check, content.vector.bundle_id, "content.vector.bundle_id")
        _check_numbers(check, content.vector, "content.vector.values")


def _check_cell(check: RequestCheck, cell: pb.Cell, field: str) -> None:
    match cell.WhichOneof("kind"):
        case "text":
            size = len(cell.text.encode())
            fits = size <= MAX_TEXT_BYTES
            check.require(fits, field, f"has a text of {size} bytes; at most {MAX_TEXT_BYTES} are accepted")
        case "number":
            check.require(abs(cell.number) <= MAX_VALUE, field, "is not a finite number of 32 bits")
        case "texts":
            count = len(cell.texts.values)
            check.require(count <= MAX_TEXTS, field, f"has {count} texts; at most {MAX_TEXTS} are accepted")
            for place, text in enumerate(cell.texts.values[:MAX_TEXTS]):
                check_id(check, text, f"{field}.texts.values[{place}]", is_required=False)
        case "numbers":
            _check_numbers(check, cell.numbers, f"{field}.numbers.values")
        case _:
            check.require(False, field, "is empty; leave out the column of an empty cell")


def _check_numbers(check: RequestCheck, numbers: pb.Numbers | pb.ItemVector, field: str) -> None:
    count = len(numbers.values)
    check.require(1 <= count <= MAX_NUMBERS, field, f"has {count} numbers; has to have 1 to {MAX_NUMBERS}")
    check.require(all(map(math.isfinite, numbers.values)), field, "has a number that is not finite")
