"""The real Litestream beside a store, with the component's configuration and an object store of the test's own."""

import contextlib
import http.client
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from live_service.events import Event
from live_service.store.sqlite_store import SqliteStore
from tests.support.waiting import until

_PROGRAM = Path(sys.executable).with_name("litestream")
_CONFIGURATION = Path(__file__).parents[2] / "deploy" / "components" / "live-litestream" / "litestream.yml"
_CREDENTIALS = "[default]\naws_access_key_id = a\naws_secret_access_key = b\n"


@dataclass(frozen=True, kw_only=True)
class Litestream:
    """The program for one file of events."""

    file: Path
    configuration: Path

    @contextlib.contextmanager
    def replicating(self) -> Iterator[None]:
        """Copies while the block runs, and is killed then."""
        command = self._command("replicate")
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, env=self._environment
        ) as it:
            try:
                yield
            finally:
                it.kill()

    @property
    def has_begun(self) -> bool:
        """Whether there is a first copy."""
        return any(self.file.parent.glob(".*-litestream/ltx/0/*.ltx"))

    def restore(self, to: Path) -> None:
        """Brings the latest copy back to a path."""
        to.unlink(missing_ok=True)
        command = self._command("restore", "-o", str(to), str(self.file))
        subprocess.run(command, check=True, capture_output=True, env=self._environment)

    def _command(self, name: str, *arguments: str) -> list[str]:
        return [str(_PROGRAM), name, "-config", str(self.configuration), *arguments]

    @property
    def _environment(self) -> dict[str, str]:
        # Nothing else: the pod has no other variables of AWS either.
        return {"AWS_SHARED_CREDENTIALS_FILE": str(self.configuration.with_name("credentials"))}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of an object store with an empty bucket."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    connection = http.client.HTTPConnection(str(host), port, timeout=60)
    connection.request("PUT", "/live")
    assert connection.getresponse().status == 200
    connection.close()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def litestream(endpoint: str, tmp_path: Path) -> Litestream:
    """Litestream for a file that does not exist yet, without copies."""
    text, file = _CONFIGURATION.read_text(), tmp_path / "live" / "events.sqlite"
    for place, own in (
        ("path: /live/events.sqlite", f"path: {file}\n    monitor-interval: 20ms"),
        ("path: shortlist", f"path: {tmp_path.name}"),
        ("https://s3.example.com", endpoint),
        ("sync-interval: 1s", "sync-interval: 20ms"),
    ):
        assert text.count(place) == 1
        text = text.replace(place, own)
    (tmp_path / "litestream.yml").write_text(text)
    (tmp_path / "credentials").write_text(_CREDENTIALS)
    return Litestream(file=file, configuration=tmp_path / "litestream.yml")


def event(number: int, user_id: str) -> Event:
    return Event(event_id=f"event-{number}", user_id=user_id, item_id="lamp", event="view", value=None, time=number)


def count(file: Path) -> int:
    """The number of events in a file, which has to be a sound store."""
    store = SqliteStore.open(file)
    histories = store.histories([f"user-{number}" for number in range(7)], 5_000, None).histories
    store.close()
    return sum(map(len, histories))


@pytest.mark.integration
def test_events_come_back_elsewhere_after_a_kill(litestream: Litestream, tmp_path: Path) -> None:
    """Proves it for each event that was acknowledged before the process was killed and the copies were made."""
    script = Path(__file__).with_name("killed_recorder.py")
    with litestream.replicating():
        with subprocess.Popen([sys.executable, str(script), str(litestream.file)], stdout=subprocess.PIPE) as recorder:
            assert recorder.stdout is not None
            acknowledged = [int(recorder.stdout.readline()) for _ in range(50)]
            recorder.kill()
            acknowledged += [int(line) for line in recorder.stdout]

        def all_are_back() -> bool:
            litestream.restore(tmp_path / "restored.sqlite")
            return count(tmp_path / "restored.sqlite") >= len(acknowledged)

        until(lambda: litestream.has_begun)
        until(all_are_back)
    # The last event may have been recorded without an answer.
    assert count(tmp_path / "restored.sqlite") - len(acknowledged) in (0, 1)


def test_litestream_may_see_the_file_before_it_has_tables(litestream: Litestream) -> None:
    """Proves that the service starts on a file that has nothing but Litestream's tables."""
    litestream.file.parent.mkdir()
    litestream.file.touch()
    with litestream.replicating():
        until(lambda: litestream.has_begun)
    assert litestream.file.stat().st_size > 0
    store = SqliteStore.open(litestream.file)
    store.record([event(1, "user-1")])
    store.close()
    assert count(litestream.file) == 1


def test_forgetting_works_beside_litestream(litestream: Litestream) -> None:
    """Proves that the call succeeds although Litestream never lets go of the log."""
    store = SqliteStore.open(litestream.file)
    store.record([event(1, "user-1")])
    with litestream.replicating():
        until(lambda: litestream.has_begun)
        assert store.forget("user-1").deleted == 1
    store.close()
    assert count(litestream.file) == 0
