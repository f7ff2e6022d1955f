"""A live service that is killed loses no event and no item that it has acknowledged, and has no event twice."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from shortlist.client import CatalogClient
from shortlist.live.v1 import catalog_service_pb2 as catalog_pb
from shortlist.live.v1 import event_service_pb2 as pb
from shortlist.live.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from testbed.services import Service

_USERS = 4


class Sender(threading.Thread):
    """Records the events 0, 1, 2, … of one user, each until it is acknowledged, like a careful caller."""

    def __init__(self, user_id: str) -> None:
        super().__init__(daemon=True)
        self.user_id, self.acknowledged, self.duplicates = user_id, 0, 0
        self.address = ""
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            with grpc.insecure_channel(self.address) as channel:
                try:
                    self._send(channel)
                except grpc.RpcError:
                    time.sleep(0.02)

    def _send(self, channel: grpc.Channel) -> None:
        live = EventServiceStub(channel)
        while not self.ended.is_set():
            events = [self._event(self.acknowledged + place) for place in range(5)]
            response = live.RecordEvents(pb.RecordEventsRequest(events=events), timeout=2)
            outcomes = [status.outcome for status in response.statuses]
            assert set(outcomes) <= {pb.EVENT_OUTCOME_RECORDED, pb.EVENT_OUTCOME_DUPLICATE}
            self.duplicates += outcomes.count(pb.EVENT_OUTCOME_DUPLICATE)
            self.acknowledged += 5

    def _event(self, number: int) -> pb.Event:
        moment = Timestamp(seconds=1_790_000_000 + number)
        return pb.Event(event_id=f"{self.user_id}-{number}", user_id=self.user_id, item_id=str(number), time=moment)


class ItemSender(Sender):
    """Puts the items 0, 1, 2, … five at once, each until it is acknowledged."""

    def _send(self, channel: grpc.Channel) -> None:
        catalog = CatalogServiceStub(channel)
        while not self.ended.is_set():
            items = [self._item(self.acknowledged + place) for place in range(5)]
            catalog.UpsertItems(catalog_pb.UpsertItemsRequest(items=items), timeout=2)
            self.acknowledged += 5

    def _item(self, number: int) -> catalog_pb.Item:
        cell = catalog_pb.Cell(number=number)
        content = catalog_pb.ItemContent(columns={"number": cell})
        return catalog_pb.Item(item_id=f"{self.user_id}-{number}", content=content)


@pytest.fixture
def senders(request: pytest.FixtureRequest) -> Iterator[list[Sender]]:
    """Senders of events, or of a test's own kind, which end with the test."""
    kind = getattr(request, "param", Sender)
    senders = [kind(f"user-{number}") for number in range(_USERS)]
    yield senders
    for sender in senders:
        sender.ended.set()


def wait_until_acknowledged(senders: list[Sender], count: int) -> None:
    end = time.monotonic() + 30
    while min(sender.acknowledged for sender in senders) < count:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.integration
@pytest.mark.parametrize(("kind", "kills"), [("sqlite", 4), ("postgresql", 2)])
def test_every_acknowledged_event_is_there_exactly_once(
    tmp_path: Path, senders: list[Sender], kind: str, kills: int, request: pytest.FixtureRequest
) -> None:
    """Proves it for kills at random moments, each followed by a start over the same store."""
    store = tmp_path / "events.sqlite" if kind == "sqlite" else request.getfixturevalue("database")
    arguments = ["--store", str(store), "--keep-days", "36500"]
    kill_often(senders, arguments, kills, tmp_path)
    with (
        Service.start("live_service", arguments, tmp_path / "live.log") as service,
        grpc.insecure_channel(service.address) as channel,
    ):
        asking = pb.GetHistoriesRequest(user_ids=[sender.user_id for sender in senders], limit=5000)
        histories = EventServiceStub(channel).GetHistories(asking).histories
    for sender, history in zip(senders, histories, strict=True):
        numbers = [int(item.item_id) for item in history.items]
        # The last call may have been recorded without an answer.
        assert len(numbers) in (sender.acknowledged, sender.acknowledged + 5)
        assert numbers == [*range(len(numbers))]


@pytest.mark.integration
@pytest.mark.parametrize("senders", [ItemSender], indirect=True)
@pytest.mark.parametrize(("kind", "kills"), [("sqlite", 2), ("postgresql", 2)])
def test_every_acknowledged_item_is_there(
    tmp_path: Path, senders: list[Sender], kind: str, kills: int, request: pytest.FixtureRequest
) -> None:
    """Proves it as for events: each item with the content that was put."""
    store = tmp_path / "events.sqlite" if kind == "sqlite" else request.getfixturevalue("database")
    arguments = ["--store", str(store)]
    kill_often(senders, arguments, kills, tmp_path)
    with (
        Service.start("live_service", arguments, tmp_path / "live.log") as service,
        CatalogClient(service.address) as catalog,
    ):
        found = {item.item_id: item.content for item in catalog.items()}
    for sender in senders:
        assert isinstance(sender, ItemSender)
        for number in range(sender.acknowledged):
            item = sender._item(number)
            assert catalog_pb.ItemContent.FromString(found[item.item_id] or b"") == item.content


def kill_often(senders: list[Sender], arguments: list[str], kills: int, folder: Path) -> None:
    """Kills services over one store at random moments while the senders call them."""
    chance = random.Random(5)  # noqa: S311 - moments, not secrets
    for number in range(kills):
        with Service.start("live_service", arguments, folder / "live.log") as service:
            for sender in senders:
                sender.address = service.address
                if number == 0:
                    sender.start()
            wait_until_acknowledged(senders, 25 * (number + 1))
            time.sleep(chance.uniform(0, 0.2))
            service.process.kill()
    for sender in senders:
        sender.ended.set()
        sender.join()


@pytest.mark.integration
def test_a_second_service_over_the_same_file_ends_with_3(tmp_path: Path) -> None:
    """Proves that two writers never meet, and that SIGTERM ends the first one with 0."""
    arguments = ["--store", str(tmp_path / "events.sqlite")]
    with Service.start("live_service", arguments, tmp_path / "first.log") as first:
        with pytest.raises(RuntimeError, match="another process writes to it") as raised:
            Service.start("live_service", arguments, tmp_path / "second.log")
        assert getattr(raised.value, "exit_code", None) == 3
        assert first.stop() == 0
