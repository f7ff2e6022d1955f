"""Items and the outcomes of their storing, as the caller's dataclasses, and their messages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real

from shortlist.catalog_item import Availability, availability_message
from shortlist.client.arguments import Id, read_id, read_list, read_mapping, read_number, read_sequence, read_text
from shortlist.live.v1 import catalog_service_pb2 as pb

Cell = str | float | bool | Sequence[str] | Sequence[float] | None
"""A cell of a table of items: a text, a number, a truth, several texts or a vector; None where it is empty."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """An item, with its ``columns`` as the recipe's section [items] names them.

    A truth is the category "true" or "false", as in a table. ``vector`` takes the place of the one that the encoder of
    the bundle ``bundle_id`` gives; other bundles do not use it. Without ``availability``, the item is shown as before,
    which is always for a new one.
    """

    item_id: Id
    columns: Mapping[str, Cell] = field(default_factory=dict)
    vector: Iterable[float] = ()
    bundle_id: str = ""
    availability: Availability | None = None


@dataclass(frozen=True, kw_only=True)
class ItemStatus:
    """The ``outcome`` of an item: "stored", "unchanged" or "refused", with the ``field`` and why."""

    item_id: str
    outcome: str
    field: str = ""
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class StoredItems:
    """The outcome of each item, in order, and the ``position`` of the live service that holds them."""

    position: int
    statuses: Sequence[ItemStatus]


_OUTCOMES: Mapping[int, str] = {
    pb.ITEM_OUTCOME_STORED: "stored",
    pb.ITEM_OUTCOME_UNCHANGED: "unchanged",
    pb.ITEM_OUTCOME_REFUSED: "refused",
}


def put_message(item: Item, name: str) -> pb.Item:
    """The message of an item that is put; ``name`` is that of the argument."""
    if not isinstance(item, Item):
        raise TypeError(f"{name} is of type {type(item).__name__}; give an Item")
    message = pb.Item(item_id=read_id(item.item_id, f"{name}.item_id"))
    for column, value in read_mapping(item.columns, f"{name}.columns").items():
        if value is not None:
            message.content.columns[column].CopyFrom(_cell(value, f"{name}.columns[{column!r}]"))
    if vector := [*read_sequence(item.vector, f"{name}.vector")]:
        message.content.vector.bundle_id = read_text(item.bundle_id, f"{name}.bundle_id")
        message.content.vector.values.extend(_numbers(vector, f"{name}.vector"))
    if item.availability is not None:
        message.availability.CopyFrom(availability_message(item.availability))
    return message


def read_statuses(items: Sequence[pb.Item], response: pb.UpsertItemsResponse) -> list[ItemStatus]:
    """The outcomes in the caller's dataclasses."""
    return [
        ItemStatus(
            item_id=item.item_id,
            outcome=_OUTCOMES.get(status.outcome, "unknown"),
            field=status.field,
            description=status.description,
        )
        for item, status in zip(items, response.statuses, strict=True)
    ]


def _cell(value: object, name: str) -> pb.Cell:
    if type(value).__name__ in {"bool", "bool_"}:
        return pb.Cell(text=str(value).lower())
    if isinstance(value, str):
        return pb.Cell(text=value)
    if isinstance(value, Iterable):
        return _list_cell([*read_list(value, name)], name)
    return pb.Cell(number=read_number(value, name, "a cell is a text, a number, a truth or a list of texts or numbers"))


def _list_cell(values: Sequence[object], name: str) -> pb.Cell:
    if values and isinstance(values[0], Real):
        return pb.Cell(numbers=pb.Numbers(values=_numbers(values, name)))
    texts = [read_text(value, f"{name}[{place}]") for place, value in enumerate(values)]
    return pb.Cell(texts=pb.Texts(values=texts))


def _numbers(values: Iterable[object], name: str) -> list[float]:
    return [read_number(value, f"{name}[{place}]") for place, value in enumerate(values)]
