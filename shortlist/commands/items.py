"""``shortlist items``: puts items into the catalogue of a live service, hides, shows, deletes and lists them."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime

from rich import box
from rich.console import Console
from rich.table import Table

from shortlist.catalog_item import HIDDEN, Availability, CatalogItem
from shortlist.client import CatalogClient
from shortlist.commands.command import Commands, advice, fail
from shortlist.commands.items_put import add_put_arguments, put
from shortlist.errors import ShortlistError
from shortlist.flags import add_setting
from shortlist.security.settings import add_client_security, read_client_security

# An acknowledgement waits for the disk.
_TIMEOUT_SECONDS = 10.0
_NANOS = 1_000_000_000
Call = Callable[[CatalogClient, argparse.Namespace], int]


def add_items(commands: Commands) -> None:
    """Adds the commands."""
    description = "Puts items into the catalogue of a live service, hides, shows, deletes and lists them."
    items = commands.add_parser("items", help="put, hide and delete items", description=description)
    actions = items.add_subparsers(required=True, metavar="ACTION")
    putting = actions.add_parser("put", help="store the content of items, in place of any former one")
    add_put_arguments(putting)
    _add_call(putting, put)
    deletion = actions.add_parser("delete", help="leave items out of every answer until they are put again")
    deletion.add_argument("items", nargs="+", metavar="ID", help="the items")
    _add_call(deletion, _delete)
    hide = actions.add_parser("hide", help="leave items out of every answer from now on")
    hide.add_argument("items", nargs="+", metavar="ID", help="the items")
    _add_call(hide, _hide)
    show = actions.add_parser("show", help="show items again, always or between two times")
    show.add_argument("items", nargs="+", metavar="ID", help="the items")
    for flag, meaning in (("--from", "hidden before this time"), ("--until", "hidden from this time on")):
        show.add_argument(flag, type=_time, metavar="TIME", help=f"{meaning}, such as 2026-12-24T18:00 (UTC)")
    _add_call(show, _show)
    _add_call(actions.add_parser("list", help="print the items that were put, deleted or are not simply shown"), _list)


def _add_call(command: argparse.ArgumentParser, call: Call) -> None:
    add_setting(command, "--live", default="dns:///127.0.0.1:50053", help="gRPC target of the live service")
    command.add_argument(
        "--timeout",
        type=float,
        default=_TIMEOUT_SECONDS,
        metavar="SECONDS",
        help="how long to wait for an answer (default %(default)s)",
    )
    add_client_security(command, "live")
    command.set_defaults(run=_run, call=call, parser=command)


def _run(arguments: argparse.Namespace) -> int:
    security = read_client_security(arguments.parser, arguments, "live")
    try:
        with CatalogClient(arguments.live, timeout=arguments.timeout, security=security) as client:
            call: Call = arguments.call
            return call(client, arguments)
    except ShortlistError as error:
        return fail(advice(error, arguments.live, arguments.timeout, "live", "--live"))
    except (OSError, ValueError) as error:
        return fail(str(error))


def _delete(client: CatalogClient, arguments: argparse.Namespace) -> int:
    client.delete_items(arguments.items)
    print(f"deleted: {len(arguments.items)} items")
    return 0


def _hide(client: CatalogClient, arguments: argparse.Namespace) -> int:
    client.set_availability(arguments.items, HIDDEN)
    print(f"hidden: {len(arguments.items)} items")
    return 0


def _show(client: CatalogClient, arguments: argparse.Namespace) -> int:
    start, end = vars(arguments)["from"], arguments.until
    if start is not None and end is not None and start >= end:
        arguments.parser.error("--until has to be later than --from")
    availability = Availability(available_from=start, available_until=end)
    client.set_availability(arguments.items, availability)
    print(f"{_shown(availability)}: {len(arguments.items)} items")
    return 0


def _list(client: CatalogClient, arguments: argparse.Namespace) -> int:
    # An item id may look like markup, and has to be printed as it is.
    console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    table = Table("item", "shown", "content", box=box.SIMPLE_HEAD, pad_edge=False)
    for item in client.items():
        shown = "never" if item.is_deleted else _shown(item.availability)
        table.add_row(item.item_id, shown, _content(item))
    console.print(table)
    console.print(f"{table.row_count} items; all others are shown")
    return 0


def _content(item: CatalogItem) -> str:
    if item.is_deleted:
        return "deleted"
    return "" if item.content is None else f"{len(item.content):,} bytes"


def _shown(availability: Availability) -> str:
    if availability.hidden:
        return "never"
    start, end = availability.available_from, availability.available_until
    parts = [
        *([] if start is None else [f"from {_text(start)}"]),
        *([] if end is None else [f"until {_text(end)}"]),
    ]
    return " ".join(parts) or "shown"


def _text(time: int) -> str:
    return f"{datetime.fromtimestamp(time / _NANOS, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _time(text: str) -> int:
    """Nanoseconds since 1970 of an ISO 8601 time, of UTC where it names no zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2026-12-24T18:00") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * _NANOS)
