"""``shortlist events``: records events, reads a history, and forgets a user, at a live service."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from shortlist.client import Event, EventClient
from shortlist.client.event_messages import EventStatus
from shortlist.commands.command import EXIT_FAILED, Commands, advice, fail
from shortlist.errors import ShortlistError
from shortlist.flags import add_setting
from shortlist.limits import MAX_EVENTS
from shortlist.security.settings import add_client_security, read_client_security

# An acknowledgement waits for the disk, and forgetting for readers.
_TIMEOUT_SECONDS = 10.0
_DEFAULT_LIMIT = 20
_MOST_SHOWN = 10
_FIELDS = ("user_id", "item_id", "event", "value", "time", "event_id", "recommendation_id", "shown", "retracts")
Call = Callable[[EventClient, argparse.Namespace], int]


def add_events(commands: Commands) -> None:
    """Adds the commands."""
    description = "Records events at a live service, reads histories, and forgets users."
    group = commands.add_parser("events", help="record events as they happen", description=description)
    events = group.add_subparsers(required=True, metavar="COMMAND")
    _add_record(events)
    history = _add(events, "history", _history, "print the latest recorded events of a user")
    history.add_argument("--user", required=True, metavar="ID", help="the user's id")
    history.add_argument(
        "--limit", type=int, default=_DEFAULT_LIMIT, metavar="N", help="how many events (default %(default)s)"
    )
    forgetting = _add(events, "forget", _forget, "delete all events of a user, and mask the user in bundles")
    forgetting.add_argument("--user", required=True, metavar="ID", help="the user's id")
    listing = _add(events, "forgotten", _forgotten, "write the list of forgotten users, for `trainer fit --forgotten`")
    listing.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file; keep it to yourself")


def _add_record(events: Commands) -> None:
    record = _add(events, "record", _record, "record one event, or those of a file")
    record.add_argument("--user", default="", metavar="ID", help="the user's id")
    record.add_argument("--item", default="", metavar="ID", help="the item's id")
    record.add_argument("--event", default="", metavar="NAME", help="the kind of event, as in the training data")
    record.add_argument("--value", type=float, metavar="NUMBER", help="the value, such as a rating")
    record.add_argument("--time", default="", metavar="TIME", help="when it happened, in ISO 8601 (default: now)")
    record.add_argument("--id", default="", metavar="ID", help="the event's id, which makes it unique (default: new)")
    record.add_argument("--recommendation", default="", metavar="ID", help="the list that the user acted on")
    record.add_argument("--retracts", default="", metavar="ID", help="the event that this one takes back")
    record.add_argument(
        "--file",
        default="",
        metavar="FILE",
        help=f"lines of JSON with {', '.join(_FIELDS)}; - is standard input. A line without an event_id gets a new one "
        "each time, so that it counts again when the file is sent again",
    )


def _add(events: Commands, name: str, call: Call, help: str) -> argparse.ArgumentParser:
    parser = events.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
    add_setting(parser, "--live", default="dns:///127.0.0.1:50053", help="gRPC target of the live service")
    parser.add_argument(
        "--timeout",
        type=float,
        default=_TIMEOUT_SECONDS,
        metavar="SECONDS",
        help="how long to wait for an answer (default %(default)s)",
    )
    add_client_security(parser, "live")
    parser.set_defaults(run=_run, call=call, parser=parser)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    security = read_client_security(arguments.parser, arguments, "live")
    try:
        with EventClient(arguments.live, timeout=arguments.timeout, security=security) as client:
            call: Call = arguments.call
            return call(client, arguments)
    except ShortlistError as error:
        return fail(advice(error, arguments.live, arguments.timeout, "live", "--live"))
    except (OSError, ValueError, TypeError) as error:
        return fail(str(error))


def _record(client: EventClient, arguments: argparse.Namespace) -> int:
    if bool(arguments.file) is bool(arguments.user):
        arguments.parser.error("give --user with an event, or --file")
    outcomes, position, bad = Counter[str](), 0, list[EventStatus]()
    for events in _batches(_of_file(arguments.file) if arguments.file else iter([_of_arguments(arguments)])):
        recorded = client.record_events(events)
        position = recorded.position
        outcomes.update(status.outcome for status in recorded.statuses)
        bad += [status for status in recorded.statuses if status.outcome not in {"recorded", "duplicate"}]
    print(", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.items()) + f"; position {position}")
    for status in bad[:_MOST_SHOWN]:
        reason = f"{status.field} {status.description}" if status.field else "another event has this id"
        fail(f"event {status.event_id} is not recorded: {reason}")
    return EXIT_FAILED if bad else 0


def _of_arguments(arguments: argparse.Namespace) -> Event:
    return Event(
        user_id=arguments.user,
        item_id=arguments.item,
        event=arguments.event,
        value=arguments.value,
        time=datetime.fromisoformat(arguments.time) if arguments.time else None,
        event_id=arguments.id,
        recommendation_id=arguments.recommendation,
        retracts=arguments.retracts,
    )


def _of_file(name: str) -> Iterator[Event]:
    lines = sys.stdin if name == "-" else Path(name).open(encoding="utf-8")  # noqa: SIM115 - closed below
    with lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _of_line(line, f"{name}, line {number}")


def _of_line(line: str, place: str) -> Event:
    try:
        given = json.loads(line)
        if unknown := [*given.keys() - {*_FIELDS}]:
            raise ValueError(f"has {', '.join(unknown)}, which is no field of an event")
        time = given.pop("time", None)
        return Event(**given, time=None if time is None else datetime.fromisoformat(time))
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{place}: {error}") from error


def _batches(events: Iterator[Event]) -> Iterator[Sequence[Event]]:
    batch: list[Event] = []
    for event in events:
        batch.append(event)
        if len(batch) == MAX_EVENTS:
            yield batch
            batch = []
    if batch:
        yield batch


def _history(client: EventClient, arguments: argparse.Namespace) -> int:
    history = client.history(arguments.user, limit=arguments.limit)
    # An item id may look like markup, and has to be printed as it is.
    console = Console(markup=False, emoji=False, highlight=False)
    table = Table("time (UTC)", "event", "item", "value")
    for item in history.items:
        value = "" if item.value is None else f"{item.value:g}"
        table.add_row(f"{item.time:%Y-%m-%d %H:%M:%S}", item.event, str(item.item_id), value)
    console.print(table)
    console.print(f"{len(history.items)} events, as of position {history.position}")
    return 0


def _forget(client: EventClient, arguments: argparse.Namespace) -> int:
    forgotten = client.forget(arguments.user)
    print(f"{forgotten.deleted:,} events deleted, and the user is masked in bundles; position {forgotten.position}")
    return 0


def _forgotten(client: EventClient, arguments: argparse.Namespace) -> int:
    listed = client.forgotten()
    listed.write(arguments.out)
    print(f"{len(listed.users):,} forgotten users in {arguments.out}, as of position {listed.position}")
    return 0
