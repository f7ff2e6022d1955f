"""``shortlist items put``: stores the items of a file."""

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import Progress, TextColumn

from shortlist.client import CatalogClient, Item
from shortlist.client.item_messages import ItemStatus, put_message
from shortlist.commands.command import EXIT_FAILED, fail
from shortlist.limits import MAX_ITEM_BYTES, MAX_ITEMS

_MOST_SHOWN = 10


class _Line(NamedTuple):
    """A line of the file, with its item or the reason why it has none."""

    number: int
    item: Item | None
    reason: str = ""


def add_put_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    command.add_argument(
        "file",
        metavar="FILE",
        help="CSV with a header, or lines of JSON, with the column names of the recipe; - is standard input",
    )
    command.add_argument(
        "--id", default="item_id", metavar="COLUMN", help="the column of the item's id (default %(default)s)"
    )


def put(client: CatalogClient, arguments: argparse.Namespace) -> int:
    """Stores the items of the file; returns 1 when a line was refused."""
    # A byte order mark would be part of the first column's name.
    source = sys.stdin if arguments.file == "-" else Path(arguments.file).open(encoding="utf-8-sig", newline="")  # noqa: SIM115
    outcomes, refused, position = Counter[str](), list[str](), 0
    with source, _progress() as progress:
        task, lines = progress.add_task("put"), _lines(source, arguments.id)
        while some := [*islice(lines, MAX_ITEMS)]:
            items = [line.item for line in some if line.item is not None]
            stored = client.put_items(items)
            position = stored.position or position
            statuses = iter(stored.statuses)
            for line in some:
                reason = line.reason if line.item is None else _reason(next(statuses), outcomes)
                if reason:
                    refused.append(f"line {line.number}: {reason}")
            progress.update(task, advance=len(some))
    counts = f"{outcomes['stored']:,} stored, {outcomes['unchanged']:,} unchanged, {len(refused):,} refused"
    print(f"{counts}; position {position}", flush=True)
    for reason in refused[:_MOST_SHOWN]:
        fail(reason)
    if len(refused) > _MOST_SHOWN:
        fail(f"and {len(refused) - _MOST_SHOWN:,} more lines are refused")
    return EXIT_FAILED if refused else 0


def _progress() -> Progress:
    columns = TextColumn("{task.completed:,.0f} lines")
    console = Console(stderr=True)
    return Progress(columns, console=console, transient=True, disable=not console.is_terminal)


def _reason(status: ItemStatus, outcomes: Counter[str]) -> str:
    outcomes[status.outcome] += 1
    return f"{status.field} {status.description}" if status.field else ""


def _lines(source: Iterable[str], id_column: str) -> Iterator[_Line]:
    lines = iter(source)
    blank = list[str]()
    for line in lines:
        if line.strip():
            everything = chain(blank, [line], lines)
            is_json = line.lstrip().startswith("{")
            yield from _of_json(everything, id_column) if is_json else _of_csv(everything, id_column)
            return
        blank.append(line)


def _of_json(lines: Iterable[str], id_column: str) -> Iterator[_Line]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
            if not isinstance(cells, dict):
                raise TypeError("is no object of column names and values")
            yield _line(number, cells, id_column)
        except json.JSONDecodeError as error:
            yield _Line(number, None, f"is no JSON: {error.msg} at character {error.pos + 1}")
        except (ValueError, TypeError, RecursionError) as error:
            yield _Line(number, None, str(error))


def _of_csv(lines: Iterable[str], id_column: str) -> Iterator[_Line]:
    reader = csv.reader(lines)
    header: list[str] = []
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _Line(reader.line_num, None, str(error))
            continue
        if not row:
            continue
        if not header:
            header = _header(row, id_column)
        elif len(row) != len(header):
            yield _Line(reader.line_num, None, f"has {len(row)} cells, and the header has {len(header)}")
        else:
            # An empty cell is a missing one, as in training.
            yield _line(
                reader.line_num, {name: cell or None for name, cell in zip(header, row, strict=True)}, id_column
            )


def _header(row: list[str], id_column: str) -> list[str]:
    if repeated := [name for name, count in Counter(row).items() if count > 1]:
        raise ValueError(f"the header has the column {repeated[0]!r} more than once")
    if id_column not in row:
        raise ValueError(f"the header has no column {id_column!r}; name that of the ids with --id")
    return row


def _line(number: int, cells: dict[str, Any], id_column: str) -> _Line:
    if cells.get(id_column) is None:
        return _Line(number, None, f"has no {id_column!r}; name the field of the ids with --id")
    item = Item(item_id=cells.pop(id_column), columns=cells)
    try:
        size = put_message(item, "item").content.ByteSize()
    except (TypeError, ValueError, OverflowError) as error:
        return _Line(number, None, str(error))
    if size > MAX_ITEM_BYTES:
        return _Line(number, None, f"has {size:,} bytes of content; at most {MAX_ITEM_BYTES:,} are accepted")
    return _Line(number, item)
