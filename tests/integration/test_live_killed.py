"""A live service that is killed loses no event that it has acknowledged, and has none twice."""

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

from shortlist.live.v1 import event_service_pb2 as pb
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
                    self._send(EventServiceStub(channel))
                except grpc.RpcError:
                    time.sleep(0.02)

    def _send(self, live: EventServiceStub) -> None:
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


@pytest.fixture
def senders() -> Iterator[list[Sender]]:
    """Senders, which end with the test."""
    senders = [Sender(f"user-{number}") for number in range(_USERS)]
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
    chance = random.Random(5)  # noqa: S311 - moments, not secrets
    store = tmp_path / "events.sqlite" if kind == "sqlite" else request.getfixturevalue("database")
    arguments = ["--store", str(store), "--keep-days", "36500"]
    for number in range(kills):
        with Service.start("live_service", arguments, tmp_path / "live.log") as service:
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
def test_a_second_service_over_the_same_file_ends_with_3(tmp_path: Path) -> None:
    """Proves that two writers never meet, and that SIGTERM ends the first one with 0."""
    arguments = ["--store", str(tmp_path / "events.sqlite")]
    with Service.start("live_service", arguments, tmp_path / "first.log") as first:
        with pytest.raises(RuntimeError, match="another process writes to it") as raised:
            Service.start("live_service", arguments, tmp_path / "second.log")
        assert getattr(raised.value, "exit_code", None) == 3
        assert first.stop() == 0
