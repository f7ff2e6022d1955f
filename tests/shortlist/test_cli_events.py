"""``shortlist events`` and the Python client, against a live service on a real socket."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shortlist import Event, EventClient, HistoryItem
from shortlist.cli import main
from shortlist.errors import ShortlistError, Unavailable
from shortlist.forgotten_list import ForgottenList
from tests.support.in_process import live_address

_NOW = datetime.now(UTC).replace(microsecond=123000)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The target of a live service."""
    with live_address(tmp_path_factory.mktemp("live") / "events.sqlite") as address:
        yield f"dns:///{address}"


@pytest.fixture
def client(target: str) -> Iterator[EventClient]:
    """A client of it."""
    with EventClient(target, timeout=10) as client:
        yield client


def run(target: str, command: str, *arguments: str) -> int:
    return main(["events", command, "--live", target, *arguments])


def test_events_come_back_as_they_were_recorded(client: EventClient) -> None:
    """Proves it for all fields of a history, and that each event has its own outcome."""
    events = [
        Event(user_id=1, item_id=50, event="rate", value=0.0, time=_NOW, event_id="a"),
        Event(user_id=1, item_id="72", shown=["72", 7], recommendation_id="r", event_id="b"),
        Event(user_id=1, item_id="x", event_id="a"),
        Event(user_id=1, time=_NOW + timedelta(hours=1), item_id="y", event_id="c"),
    ]
    recorded = client.record_events(events)
    outcomes = [(status.event_id, status.outcome, status.field) for status in recorded.statuses]
    assert outcomes == [("a", "recorded", ""), ("b", "recorded", ""), ("a", "conflict", ""), ("c", "refused", "time")]
    history = client.history(1, min_position=recorded.position)
    assert history.items[0] == HistoryItem(item_id="50", time=_NOW, event="rate", value=0.0)
    assert [item.item_id for item in history.items] == ["50", "72"]
    client.record_events([Event(user_id=1, retracts="a")])
    assert [item.item_id for item in client.history(1, limit=5).items] == ["72"]


def test_an_argument_of_another_type_is_named(client: EventClient) -> None:
    """Proves that nothing is sent."""
    with pytest.raises(TypeError, match=r"events\[0\]\.user_id is of type float"):
        client.record_events([Event(user_id=1.5)])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"events\[0\] is of type str; give an Event"):
        client.record_events(["view"])  # type: ignore[list-item]


def test_a_closed_client_and_a_position_ahead_are_errors(target: str, client: EventClient) -> None:
    """Proves the kinds of both errors."""
    with pytest.raises(Unavailable):
        client.history("ann", min_position=2**40)
    with EventClient(target) as closed:
        pass
    with pytest.raises(ShortlistError, match="this client is closed"):
        closed.forget("ann")


def test_a_forgotten_user_is_listed(client: EventClient) -> None:
    """Proves that the list finds the user by id, and says nothing of others."""
    client.record_events([Event(user_id="gone", item_id="1")])
    forgotten = client.forget("gone")
    assert forgotten.deleted == 1
    listed = client.forgotten()
    found = listed.among(["gone", "ann"])
    assert {user_id: one.position for user_id, one in found.items()} == {"gone": forgotten.position}
    assert listed.among(["gone"], after=forgotten.position) == {}


def test_the_commands_record_show_and_forget(target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Proves it in the order of the README."""
    assert run(target, "record", "--user", "196", "--item", "[red]50", "--value", "5", "--id", "1") == 0
    assert run(target, "record", "--user", "196", "--item", "[red]50", "--value", "5", "--id", "1") == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("1 recorded; position ")
    assert "event 1 is not recorded: another event has this id" in printed.err
    assert run(target, "history", "--user", "196") == 0
    printed = capsys.readouterr()
    assert "[red]50" in printed.out
    assert "1 events, as of position" in printed.out
    assert run(target, "forget", "--user", "196") == 0
    assert capsys.readouterr().out.startswith("1 events deleted")
    assert run(target, "forgotten", "--out", str(tmp_path / "forgotten.json")) == 0
    assert "196" in ForgottenList.read(tmp_path / "forgotten.json").among(["196", "1"])


def test_a_file_of_events_is_recorded(target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Proves it for more events than a call may have; the same file again is recorded once."""
    path = tmp_path / "events.jsonl"
    lines = [{"user_id": "many", "item_id": n, "event_id": f"m{n}", "time": _NOW.isoformat()} for n in range(1500)]
    path.write_text("\n".join(map(json.dumps, lines)))
    assert run(target, "record", "--file", str(path)) == 0
    assert run(target, "record", "--file", str(path)) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert (first.split(";")[0], second.split(";")[0]) == ("1,500 recorded", "1,500 duplicate")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"user": "1"}', "line 1: has user, which is no field of an event"),
        ("no json", "line 1: Expecting value"),
        ('{"item_id": "1"}', "line 1: .*user_id"),
        ('{"user_id": "1", "item_id": "2", "time": "yesterday"}', "line 1: Invalid isoformat string"),
        ('{"user_id": 1.5, "item_id": "2"}', "user_id is of type float"),
    ],
)
def test_a_bad_line_is_named(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, complaint: str
) -> None:
    """Proves that the message says the line and the error, without a traceback."""
    path = tmp_path / "events.jsonl"
    path.write_text(line)
    assert run(target, "record", "--file", str(path)) == 1
    assert re.search(complaint, capsys.readouterr().err)


def test_wrong_usage_and_a_service_that_is_not_there_end_with_advice(capsys: pytest.CaptureFixture[str]) -> None:
    """Proves that the command to start the service is named."""
    with pytest.raises(SystemExit, match="2"):
        main(["events", "record", "--item", "50"])
    assert "give --user with an event, or --file" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as gone:
        target = f"127.0.0.1:{gone.getsockname()[1]}"
    assert run(target, "history", "--user", "1", "--timeout", "5") == 1
    complaint = capsys.readouterr().err
    assert f"nothing answers at {target}; start it with python -m live_service, or see --live" in complaint
