"""Litestream beside a live service: what a restored file has, and how long a replica keeps a forgotten user."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from live_service.store.sqlite_store import SqliteStore
from shortlist.live.v1 import event_service_pb2 as pb
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from testbed.services import Service
from tests.support.in_process import live_address

_LITESTREAM = str(Path(sys.executable).with_name("litestream"))
# By default a day, half a minute and five minutes.
_CONFIG = """
snapshot: {{interval: 1s, retention: 1s}}
levels: [{{interval: 500ms}}]
l0-retention: 500ms
l0-retention-check-interval: 500ms
dbs:
  - path: {folder}/events.sqlite
    replica: {{type: file, path: {folder}/replica, sync-interval: 100ms}}
"""
_SYNCED_SECONDS = 1.0


@contextlib.contextmanager
def replicating(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Litestream, which copies ``events.sqlite`` of a folder to ``replica``."""
    (folder / "litestream.yml").write_text(_CONFIG.format(folder=folder))
    command = [_LITESTREAM, "replicate", "-config", str(folder / "litestream.yml")]
    with (folder / "litestream.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.terminate()


def restored(folder: Path) -> Path:
    """The file that Litestream makes from the replica alone."""
    path = folder / "restored.sqlite"
    source = f"file://{folder}/replica"
    subprocess.run([_LITESTREAM, "restore", "-o", str(path), source], check=True, capture_output=True)
    return path


def files_with(folder: Path, text: bytes) -> list[str]:
    return [str(path) for path in sorted(folder.rglob("*")) if path.is_file() and text in path.read_bytes()]


class Recorder:
    """Records the events 0, 1, 2, … of a user, and knows how many are acknowledged."""

    def __init__(self, live: EventServiceStub, user_id: str, prefix: str = "") -> None:
        self._live, self._user_id, self._prefix, self.acknowledged = live, user_id, prefix, 0

    def record(self, calls: int, events: int) -> None:
        for _ in range(calls):
            numbers = range(self.acknowledged, self.acknowledged + events)
            response = self._live.RecordEvents(
                pb.RecordEventsRequest(events=[self._event(one) for one in numbers]), timeout=10
            )
            assert {status.outcome for status in response.statuses} == {pb.EVENT_OUTCOME_RECORDED}
            self.acknowledged += events

    def _event(self, number: int) -> pb.Event:
        moment = Timestamp(seconds=int(time.time()) - 10_000, nanos=number)
        return pb.Event(event_id=f"{self._prefix}{number}", user_id=self._user_id, item_id=str(number), time=moment)


def test_a_restored_file_has_every_event_that_was_acknowledged_before_the_last_sync(tmp_path: Path) -> None:
    """Proves it when service and Litestream are killed, for more events than a log holds between two checkpoints."""
    arguments = ["--store", str(tmp_path / "events.sqlite")]
    with (
        Service.start("live_service", arguments, tmp_path / "live.log") as service,
        replicating(tmp_path) as litestream,
        grpc.insecure_channel(service.address) as channel,
    ):
        recorder = Recorder(EventServiceStub(channel), "ann")
        recorder.record(calls=100, events=2)
        recorder.record(calls=4, events=1000)
        time.sleep(_SYNCED_SECONDS)
        synced = recorder.acknowledged
        recorder.record(calls=20, events=1)
        service.process.kill()
        litestream.kill()
    with live_address(restored(tmp_path)) as address, grpc.insecure_channel(address) as channel:
        request = pb.GetHistoriesRequest(user_ids=["ann"], limit=5000)
        found = EventServiceStub(channel).GetHistories(request).histories[0]
    numbers = [int(item.item_id) for item in found.items]
    assert sorted(numbers) == [*range(len(numbers))]
    assert synced <= len(numbers) <= recorder.acknowledged


def test_a_forgotten_user_leaves_the_replica_with_its_old_snapshots(tmp_path: Path) -> None:
    """Proves that forgetting works although Litestream reads the log at all times, and that new snapshots are clean."""
    with live_address(tmp_path / "events.sqlite") as address, grpc.insecure_channel(address) as channel:
        live = EventServiceStub(channel)
        others = Recorder(live, "ann")
        with replicating(tmp_path):
            Recorder(live, "secret-person", "forgotten-").record(calls=5, events=40)
            while not files_with(tmp_path / "replica", b"secret-person"):
                time.sleep(0.05)
            assert live.ForgetUser(pb.ForgetUserRequest(user_id="secret-person")).deleted_event_count == 200
            end = time.monotonic() + 60
            while files_with(tmp_path / "replica", b"secret-person") and time.monotonic() < end:
                others.record(calls=1, events=1)
                time.sleep(0.1)
        assert files_with(tmp_path / "replica", b"secret-person") == []
        # Without Litestream the log is emptied again.
        live.ForgetUser(pb.ForgetUserRequest(user_id="secret-person"))
        assert files_with(tmp_path, b"secret-person") == []
    store = SqliteStore.open(restored(tmp_path))
    assert [len(one) > 0 for one in store.histories(["secret-person", "ann"], 10, None).histories] == [False, True]
    store.close()
