"""A live service that stops finishes its calls: nothing acknowledged is lost, and every call ends with a status."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from live_service.store.sqlite_store import SqliteStore
from shortlist.client.connections import OWN_CONNECTION
from shortlist.live.v1 import event_service_pb2 as pb
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from testbed.services import Service
from tests.support.waiting import until

pytestmark = pytest.mark.integration
_CALLERS = 12
_REFUSALS = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


class Caller(threading.Thread):
    """Records event after event without pause, until a call fails."""

    def __init__(self, address: str, number: int) -> None:
        super().__init__(daemon=True)
        self._address, self.user_id = address, f"user-{number}"
        self.acknowledged, self.code = 0, grpc.StatusCode.OK

    def run(self) -> None:
        with grpc.insecure_channel(self._address, options=[OWN_CONNECTION]) as channel:
            live = EventServiceStub(channel)
            try:
                while True:
                    live.RecordEvents(
                        pb.RecordEventsRequest(events=[event(self.user_id, self.acknowledged)]), timeout=10
                    )
                    self.acknowledged += 1
            except grpc.RpcError as error:
                self.code = error.code()


def event(user_id: str, number: int) -> pb.Event:
    moment = Timestamp(seconds=int(time.time()))
    return pb.Event(event_id=f"{user_id}-{number}", user_id=user_id, item_id=str(number), time=moment)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A live service that gives calls half a second to end."""
    arguments = ["--store", str(tmp_path / "events.sqlite"), "--drain-seconds", "0.5", "--threads", "4"]
    with Service.start("live_service", arguments, tmp_path / "live.log") as service:
        yield service


def test_a_stop_under_load_loses_nothing_that_was_acknowledged(service: Service, tmp_path: Path) -> None:
    """Proves that each call ends with an answer or with a status that says to try again, and the process with 0."""
    callers = [Caller(service.address, number) for number in range(_CALLERS)]
    for caller in callers:
        caller.start()
    until(lambda: all(caller.acknowledged >= 3 for caller in callers))
    assert service.stop() == 0
    for caller in callers:
        caller.join(10)
    assert {caller.is_alive() for caller in callers} == {False}
    assert {caller.code for caller in callers} <= _REFUSALS
    store = SqliteStore.open(tmp_path / "events.sqlite")
    histories = store.histories([caller.user_id for caller in callers], 5_000, None).histories
    store.close()
    for caller, history in zip(callers, histories, strict=True):
        recorded = [int(interaction.item_id) for interaction in history]
        # The last call may have been recorded without an answer.
        assert sorted(recorded) == [*range(len(recorded))]
        assert len(recorded) - caller.acknowledged in (0, 1)


def _answers(service: Service) -> bool:
    """Whether a thread is free for a call."""
    with grpc.insecure_channel(service.address, options=[OWN_CONNECTION]) as channel:
        try:
            EventServiceStub(channel).GetHistories(pb.GetHistoriesRequest(user_ids=["user-0"], limit=1), timeout=1)
        except grpc.RpcError:
            return False
    return True


def test_calls_that_a_stop_cancels_are_counted(service: Service, tmp_path: Path) -> None:
    """Proves it for calls that wait for the disk, and for those behind them that no thread has taken yet."""
    with sqlite3.connect(tmp_path / "events.sqlite", isolation_level=None) as other:
        # As a backup may hold it; the service waits for the lock.
        other.execute("BEGIN IMMEDIATE")
        callers = [Caller(service.address, number) for number in range(7)]
        for caller in callers:
            caller.start()
        until(lambda: not _answers(service))
        service.process.terminate()
        for caller in callers:
            caller.join(10)
        other.execute("ROLLBACK")
    assert service.process.wait(10) == 0
    assert Counter(caller.code for caller in callers).keys() <= _REFUSALS
    log = (tmp_path / "live.log").read_text()
    assert "stopped, 7 calls cut" in log
    assert "Traceback" not in log
