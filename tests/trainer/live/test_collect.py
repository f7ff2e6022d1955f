"""Tables from a live service and a log: what an answer could not know is in no history before its impressions."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import grpc
import polars as pl
import pytest

from shortlist.live.v1 import event_service_pb2 as pb
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from shortlist.ranking.v1.served_answer_pb2 import ServedAnswer
from tests.support.answers import segment_of
from tests.support.in_process import live_address
from trainer.__main__ import main
from trainer.data import Dataset, load
from trainer.data.history_slices import HistorySlices
from trainer.live import events, tables
from trainer.recipe import DataRecipe, ImpressionsConfig, InteractionsConfig, ObjectiveConfig, UsersConfig

_RECIPE = DataRecipe(
    interactions=InteractionsConfig(event="event"),
    impressions=ImpressionsConfig(position="position", categorical=("device",)),
    objectives={
        "view": ObjectiveConfig(column="view"),
        "price": ObjectiveConfig(kind="value", column="buy_value"),
    },
)


class Shop:
    """A live service and a log of served answers, at times in seconds after a beginning."""

    def __init__(self, folder: Path, live: EventServiceStub, address: str) -> None:
        self.start = int(time.time()) - 1000
        self._log, self._live, self._address = folder / "served", live, address
        self.out = folder / "tables"
        self._log.mkdir()
        self.position, self.recorded = 0, 0

    def happens(
        self,
        user: str,
        item: str,
        second: int,
        event: str = "view",
        answer: str = "",
        value: float | None = None,
        shown: Sequence[pb.ShownItem] = (),
        retracts: str = "",
    ) -> None:
        """Records an event, which arrives now, whenever it happened."""
        self.recorded += 1
        message = pb.Event(
            event_id=str(self.recorded),
            user_id=user,
            item_id=item,
            event=event,
            recommendation_id=answer,
            value=value,
            shown=shown,
            retracts=retracts,
        )
        message.time.seconds = self.start + second
        self.position = self._live.RecordEvents(pb.RecordEventsRequest(events=[message])).position

    def serves(self, answer: str, user: str, items: str, second: int, degraded: bool = False) -> None:
        """Logs an answer that knows all events so far."""
        served = ServedAnswer()
        served.time.seconds = self.start + second
        served.recommend.request.user.user_id = user
        served.recommend.request.context["device"].text = "tv"
        response = served.recommend.response
        response.recommendation_id, response.live_position, response.degraded = answer, self.position, degraded
        for item in items:
            response.items.add(item_id=item)
        (self._log / f"{answer}.answers").write_bytes(segment_of(served))

    def collect(self, log: bool = True) -> int:
        """Runs the command; returns the exit code."""
        logging = ["--served-log", str(self._log)] if log else []
        return main(["collect", "--live", self._address, "--out", str(self.out), *logging])

    def dataset(self) -> Dataset:
        """The data set of the tables."""
        return load(self.out, _RECIPE)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """An empty one."""
    with live_address(tmp_path / "events.sqlite") as address, grpc.insecure_channel(address) as channel:
        yield Shop(tmp_path, EventServiceStub(channel), address)


def _histories(dataset: Dataset) -> Sequence[str]:
    """The items of the training's history before each impression."""
    assert dataset.impressions is not None
    slices = HistorySlices.before_times(dataset, dataset.impressions.user_rows, dataset.impressions.times)
    return ["".join(dataset.item_ids[row].decode() for row in history.rows) for history in slices.listed()]


def _rows(dataset: Dataset) -> Sequence[Mapping[str, object]]:
    shown = dataset.impressions
    assert shown is not None
    return [
        {"item": dataset.item_ids[row].decode(), "position": int(position), "view": float(view)}
        for row, position, view in zip(shown.item_rows, shown.positions, shown.targets[:, 0], strict=True)
    ]


@pytest.fixture
def leaky(shop: Shop) -> Shop:
    """A shop whose events claim to be older than answers that did not know them."""
    shop.happens("bob", "x", 1)
    shop.happens("bob", "y", 2)
    shop.happens("ann", "a", 3)
    shop.serves("first", "ann", "xyb", 10)
    # The clock of this caller is behind: its click on the answer seems to be earlier than the answer.
    shop.happens("ann", "y", 5, answer="first")
    # This event was on its way for long.
    shop.happens("ann", "b", 7)
    shop.serves("second", "ann", "xy", 20)
    shop.happens("ann", "x", 25, event="buy", answer="second", value=9.5)
    return shop


def test_a_history_has_nothing_that_its_answer_could_not_know(leaky: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Proves it for planted leaks, an outcome among them; the next answer's history has them."""
    assert leaky.collect() == 0
    dataset = leaky.dataset()
    assert _histories(dataset)[:3] == ["a"] * 3
    assert [sorted(one) for one in _histories(dataset)[3:]] == [["a", "b", "y"]] * 2
    assert "2 interactions came after an answer that they were older than" in capsys.readouterr().err


def test_the_leaks_are_found_where_nothing_is_moved(leaky: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that the test above would see a leak: the times of the events alone bring them into the history."""
    monkeypatch.setattr(tables, "_known", lambda found, answers: found.with_columns(known=found["time"]))
    assert leaky.collect() == 0
    assert [sorted(one) for one in _histories(leaky.dataset())[:3]] == [["a", "b", "y"]] * 3


def test_outcomes_join_the_items_of_their_answer(leaky: Shop) -> None:
    """Proves places, outcomes of each kind and their values, and that another answer's outcome counts for nothing."""
    assert leaky.collect() == 0
    dataset = leaky.dataset()
    assert _rows(dataset) == [
        {"item": "x", "position": 0, "view": 0.0},
        {"item": "y", "position": 1, "view": 1.0},
        {"item": "b", "position": 2, "view": 0.0},
        {"item": "x", "position": 0, "view": 0.0},
        {"item": "y", "position": 1, "view": 0.0},
    ]
    assert dataset.impressions is not None
    prices = dataset.impressions.targets[:, 1].tolist()
    assert [price for price in prices if price == price] == [9.5]


def test_items_that_nobody_saw_are_no_impressions(leaky: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Proves that events with the shown items say which items were seen, and where."""
    shown = [pb.ShownItem(item_id="y", position=4)]
    leaky.happens("ann", "", 11, event="", answer="first", shown=shown)
    leaky.serves("third", "bob", "xy", 30, degraded=True)
    leaky.serves("fourth", "", "xy", 40)
    assert leaky.collect() == 0
    assert _rows(leaky.dataset()) == [{"item": "y", "position": 4, "view": 1.0}]
    errors = " ".join(capsys.readouterr().err.split())
    assert "1 answers have no item that an event says was shown" in errors
    assert "1 answers have no user id" in errors
    assert "1 answers were degraded" in errors


def test_events_that_arrive_meanwhile_wait_for_the_next_time(leaky: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that the tables are those of one position, which they keep for the bundle."""
    position, read = leaky.position, events._row

    def read_late(listed: pb.ListedEvent) -> tuple[object, ...]:
        leaky.happens("zoe", "z", 40)
        return read(listed)

    monkeypatch.setattr(events, "_row", read_late)
    monkeypatch.setattr(events, "_PAGE", 1)
    assert leaky.collect() == 0
    dataset = leaky.dataset()
    assert [*dataset.user_ids] == [b"ann", b"bob"]
    assert dataset.known_position == position < leaky.position
    pl.DataFrame({"user_id": ["ann"]}).write_parquet(leaky.out / "users.parquet")
    assert load(leaky.out, replace(_RECIPE, users=UsersConfig())).known_position is None


def test_events_alone_make_interactions(leaky: Shop) -> None:
    """Proves that no log is needed, and that events which were taken back are left out."""
    leaky.happens("bob", "", 30, event="", retracts="1")
    assert leaky.collect(log=False) == 0
    assert [path.name for path in leaky.out.iterdir()] == ["interactions.parquet"]
    dataset = load(leaky.out, DataRecipe(interactions=_RECIPE.interactions))
    assert len(dataset.times) == 5


@pytest.mark.parametrize(
    ("context", "complaint"),
    [
        ("position", "is the name of another column"),
        ("view", "has the name of another"),
        ("view_value", "has the name of another"),
    ],
)
def test_a_context_that_would_hide_a_column_is_refused(
    leaky: Shop, capsys: pytest.CaptureFixture[str], context: str, complaint: str
) -> None:
    """Proves that no column is silently another one."""
    served = ServedAnswer()
    served.recommend.request.user.user_id = "ann"
    served.recommend.request.context[context].text = "tv"
    (leaky.out.parent / "served" / "9.answers").write_bytes(segment_of(served))
    assert leaky.collect() == 2
    assert complaint in " ".join(capsys.readouterr().err.split())
