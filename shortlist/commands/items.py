"""``shortlist items hide | show | list``: says which items may be shown while bundles are served."""

import argparse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import grpc
from rich import box
from rich.console import Console
from rich.table import Table

from shortlist.catalog.availability import HIDDEN, Availability, CatalogItem, availability_message, read_item
from shortlist.client.channels import Channels
from shortlist.client.service_config import channel_options
from shortlist.client.tls_cause import read_failure
from shortlist.commands.command import Commands, advice, fail
from shortlist.flags import add_setting
from shortlist.limits import MAX_LIMIT
from shortlist.live.v1 import catalog_service_pb2 as pb
from shortlist.live.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.security.settings import add_client_security, read_client_security

_TIMEOUT_SECONDS = 5.0
_NANOS = 1_000_000_000
Call = Callable[["_Catalog", argparse.Namespace], None]


def add_items(commands: Commands) -> None:
    """Adds the commands."""
    items = commands.add_parser("items", help="hide and show items", description="Hides items, and shows them again.")
    actions = items.add_subparsers(required=True, metavar="ACTION")
    hide = actions.add_parser("hide", help="leave items out of every answer from now on")
    hide.add_argument("items", nargs="+", metavar="ID", help="the items")
    _add_call(hide, _hide)
    show = actions.add_parser("show", help="show items again, always or between two times")
    show.add_argument("items", nargs="+", metavar="ID", help="the items")
    for flag, meaning in (("--from", "hidden before this time"), ("--until", "hidden from this time on")):
        show.add_argument(flag, type=_time, metavar="TIME", help=f"{meaning}, such as 2026-12-24T18:00 (UTC)")
    _add_call(show, _show)
    _add_call(actions.add_parser("list", help="print the items that are not simply shown"), _list)


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
    catalog = _Catalog(arguments)
    try:
        arguments.call(catalog, arguments)
    except grpc.RpcError as error:
        return fail(advice(read_failure(error, catalog.security), arguments.live, arguments.timeout, "live", "--live"))
    finally:
        catalog.close()
    return 0


class _Catalog:
    """The catalogue of a live service."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.security = read_client_security(arguments.parser, arguments, "live")
        options = channel_options("shortlist.live.v1.CatalogService", attempts=3, backoff_seconds=0.05)
        self._timeout: float = arguments.timeout
        self._channels = Channels(arguments.live, CatalogServiceStub, options, self.security)

    def close(self) -> None:
        self._channels.close()

    def say(self, item_ids: list[str], availability: Availability) -> None:
        message = availability_message(availability)
        for start in range(0, len(item_ids), MAX_LIMIT):
            some = item_ids[start : start + MAX_LIMIT]
            request = pb.SetAvailabilityRequest(item_ids=some, availability=message)
            with self._channels.stub() as stub:
                stub.SetAvailability(request, timeout=self._timeout, metadata=self._channels.metadata())

    def items(self) -> Iterator[CatalogItem]:
        after = ""
        while True:
            request = pb.ListItemsRequest(limit=MAX_LIMIT, after_item_id=after)
            with self._channels.stub() as stub:
                found = stub.ListItems(request, timeout=self._timeout, metadata=self._channels.metadata()).items
            yield from map(read_item, found)
            if len(found) < MAX_LIMIT:
                return
            after = found[-1].item_id


def _hide(catalog: _Catalog, arguments: argparse.Namespace) -> None:
    catalog.say(arguments.items, HIDDEN)
    print(f"hidden: {len(arguments.items)} items")


def _show(catalog: _Catalog, arguments: argparse.Namespace) -> None:
    start, end = vars(arguments)["from"], arguments.until
    if start is not None and end is not None and start >= end:
        arguments.parser.error("--until has to be later than --from")
    catalog.say(arguments.items, Availability(available_from=start, available_until=end))
    print(f"{_described(Availability(available_from=start, available_until=end))}: {len(arguments.items)} items")


def _list(catalog: _Catalog, arguments: argparse.Namespace) -> None:
    # An item id may look like markup, and has to be printed as it is.
    console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    table = Table("item", "shown", box=box.SIMPLE_HEAD, pad_edge=False)
    for item in catalog.items():
        table.add_row(item.item_id, _described(item.availability))
    console.print(table)
    console.print(f"{table.row_count} items; all others are shown")


def _described(availability: Availability) -> str:
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
