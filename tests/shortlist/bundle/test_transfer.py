"""A bundle is copied from one place to another whole, or not at all."""

import errno
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from shortlist.bundle import Bundle
from shortlist.bundle.locations import Remote, TransferError, location
from shortlist.bundle.operations import pin, verify
from shortlist.bundle.puller import Pulled, Puller
from shortlist.bundle.signature import SIGNATURE
from shortlist.bundle.store import BundleStore
from shortlist.bundle.transfer import push
from shortlist.errors import ShortlistError
from tests.shortlist.bundle.fake import NEWER, NEWEST, OLDER, OLDEST, damage, names, publish

_TRIALS = 12


class Counting:
    """Adds up the announced and the copied bytes."""

    def __init__(self) -> None:
        self.announced, self.advanced = 0, 0

    def begin(self, what: str, size: int) -> None:
        self.announced += size

    def advance(self, size: int) -> None:
        self.advanced += size


def pull(source: Path | str, to: Path, keep: int = 3) -> Pulled:
    return Puller(str(source), BundleStore(to), Counting(), keep=keep, check=Bundle.open).pull()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory with two bundles."""
    publish(tmp_path / "source", OLDEST, OLDER)
    return tmp_path / "source"


@pytest.fixture
def to(tmp_path: Path) -> Path:
    """The path of a directory that does not exist yet."""
    return tmp_path / "to"


def test_the_current_bundle_arrives_whole(source: Path, to: Path) -> None:
    """The copy opens as a bundle, nothing else arrives, and the progress adds up to the bytes."""
    progress = Counting()
    done = Puller(str(source), BundleStore(to), progress, check=Bundle.open).pull()
    assert Bundle.open(BundleStore(to).current()).bundle_id == done.bundle_id == OLDER
    assert names(to) == [OLDER, "CURRENT"]
    assert names(to / OLDER) == names(source / OLDER)
    assert progress.announced == progress.advanced == done.copied - (to / OLDER / "manifest.json").stat().st_size


def test_a_bundle_that_is_here_is_not_copied_again(source: Path, to: Path) -> None:
    """A second pull only verifies, and moves the pointer to the bundle that was copied earlier."""
    pull(source, to)
    publish(source, NEWER)
    pull(source, to)
    before = (to / OLDER / "items.parquet").stat()
    BundleStore(source).point_to(OLDER)
    assert pull(source, to) == Pulled(bundle_id=OLDER, copied=0, current=True)
    # Verification reads the file, which may change its access time only.
    after = (to / OLDER / "items.parquet").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert BundleStore(to).current_id() == OLDER


def test_a_bundle_that_is_damaged_here_is_copied_again(source: Path, to: Path) -> None:
    """The source repairs an error of the local disk, and the damaged copy leaves nothing behind."""
    pull(source, to)
    damage(to / OLDER / "index.faiss")
    assert pull(source, to).copied > 0
    verify(BundleStore(to), OLDER)
    assert names(to) == [OLDER, "CURRENT"]


def test_a_pull_keeps_only_the_newest_bundles(source: Path, to: Path) -> None:
    """A directory that pulls for years does not fill the disk."""
    removed: list[str] = []
    for bundle_id in (OLDEST, OLDER, NEWER, NEWEST):
        publish(source, bundle_id) if bundle_id in {NEWER, NEWEST} else BundleStore(source).point_to(bundle_id)
        removed += pull(source, to, keep=2).removed
    assert removed == [OLDEST, OLDER]
    assert names(to) == [NEWER, NEWEST, "CURRENT"]


def test_a_pin_of_the_source_is_not_copied_and_one_here_holds(source: Path, to: Path) -> None:
    """The source's pointer decides, unless a version is pinned at the destination."""
    pin(BundleStore(source), OLDEST)
    pull(source, to)
    assert (BundleStore(to).current_id(), BundleStore(to).pinned_id()) == (OLDEST, None)
    pin(BundleStore(to), OLDEST)
    pin(BundleStore(source), OLDER)
    assert not pull(source, to).current
    assert BundleStore(to).current_id() == OLDEST
    verify(BundleStore(to), OLDER)


def test_a_signature_is_copied_too(source: Path, to: Path) -> None:
    """The manifest cannot list it, but without it no signed bundle could be served."""
    (source / OLDER / SIGNATURE).write_text("{}")
    pull(source, to)
    assert (to / OLDER / SIGNATURE).read_text() == "{}"


def _rewrite(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))


def _claim_to_be_huge(directory: Path) -> None:
    _rewrite(directory / "manifest.json", lambda raw: raw["files"]["index.faiss"].update(size=2**49))  # type: ignore[index]


@pytest.mark.parametrize(
    ("tear", "reason"),
    [
        (lambda source: (source / "CURRENT").unlink(), "has no CURRENT"),
        (lambda source: (source / "CURRENT").write_text("../../etc"), "not a bundle id"),
        (lambda source: (source / "CURRENT").write_bytes(bytes(10_000)), "is larger than 4096 bytes"),
        (lambda source: shutil.rmtree(source / NEWER), "manifest.json does not exist"),
        (lambda source: shutil.copy(source / OLDER / "manifest.json", source / NEWER), f"belongs to bundle {OLDER}"),
        (lambda source: (source / NEWER / "ranker.onnx").unlink(), "ranker.onnx does not exist"),
        (lambda source: os.truncate(source / NEWER / "ranker.onnx", 10**9), "ranker.onnx does not match the manifest"),
        (lambda source: damage(source / NEWER / "user_ids.npy"), "user_ids.npy does not match the manifest"),
        (lambda source: _claim_to_be_huge(source / NEWER), "bytes left; the bundle needs"),
    ],
)
def test_a_torn_source_changes_nothing(source: Path, to: Path, tear: Callable[[Path], object], reason: str) -> None:
    """Every kind of incomplete source is reported, and the directory stays as it was, without debris."""
    pull(source, to)
    publish(source, NEWER)
    tear(source)
    with pytest.raises(ShortlistError, match=reason):
        pull(source, to)
    assert names(to) == [OLDER, "CURRENT"]
    assert verify(BundleStore(to), BundleStore(to).current_id()).bundle_id == OLDER


def test_a_directory_is_not_pulled_into_itself(source: Path) -> None:
    """A typing error does no harm."""
    with pytest.raises(TransferError, match="to itself"):
        pull(source, source)


@pytest.fixture
def small_disk(to: Path) -> Iterator[Path]:
    """A file system of 10 MiB."""
    to.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", str(to)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a file system is not permitted")
    yield to
    subprocess.run(["umount", str(to)], check=True)


def _fill_up(bundles: Path) -> None:
    free = shutil.disk_usage(bundles).free
    (bundles / "other").write_bytes(bytes(free))


def test_a_disk_that_fills_up_keeps_its_bundles(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that runs full halfway is reported and holds no debris; a pull works again once there is space.

    The test switches the check of the free space off, as if another process took the space after the check.
    """
    source = tmp_path / "source"
    for bundle_id in (OLDEST, OLDER):
        publish(source, bundle_id, size=2**19)
        pull(source, small_disk)
    publish(source, NEWER, size=2**21)
    with pytest.raises(TransferError, match=r"bytes left; the bundle needs"):
        pull(source, small_disk)
    monkeypatch.setattr("shortlist.bundle.transfer._require_space", lambda *_: None)
    with pytest.raises(TransferError, match="cannot be written: No space left on device; it stays as it was"):
        pull(source, small_disk)
    assert names(small_disk) == [OLDEST, OLDER, "CURRENT"]
    _fill_up(small_disk)
    BundleStore(source).point_to(OLDEST)
    with pytest.raises(TransferError, match="No space left on device"):
        pull(source, small_disk)
    assert names(small_disk) == [OLDEST, OLDER, "CURRENT", "other"]
    assert verify(BundleStore(small_disk), BundleStore(small_disk).current_id()).bundle_id == OLDER
    (small_disk / "other").unlink()
    assert pull(source, small_disk).current


def test_a_read_only_disk_is_reported(source: Path, small_disk: Path) -> None:
    """The message names the directory and the reason."""
    pull(source, small_disk)
    publish(source, NEWER)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(TransferError, match=f"{small_disk} cannot be written: Read-only file system"):
        pull(source, small_disk)
    assert BundleStore(small_disk).current_id() == OLDER


def test_a_failed_write_keeps_the_former_bundles(tmp_path: Path, to: Path) -> None:
    """The same where nothing can be mounted, by a limit of the process on file sizes."""
    source = tmp_path / "source"
    publish(source, OLDER)
    pull(source, to)
    publish(source, NEWER, size=2**20)
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, former[1]))
    try:
        with pytest.raises(TransferError, match=os.strerror(errno.EFBIG)):
            pull(source, to)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    assert names(to) == [OLDER, "CURRENT"]


def test_a_puller_that_is_killed_at_any_moment_leaves_one_version_or_the_other(tmp_path: Path, to: Path) -> None:
    """A reader finds a whole bundle whenever SIGKILL comes, and the next pull removes the debris."""
    source, chance = tmp_path / "source", random.Random(7)  # noqa: S311 - moments, not secrets
    publish(source, OLDER, NEWER, size=2**20)
    pull(source, to)
    script = Path(__file__).with_name("killed_puller.py")
    for _ in range(_TRIALS):
        # Remove the other version, so that there is always something to copy.
        here = BundleStore(to).current_id()
        wanted = OLDER if here == NEWER else NEWER
        shutil.rmtree(to / wanted, ignore_errors=True)
        BundleStore(source).point_to(wanted)
        command = [sys.executable, str(script), str(source), str(to)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.uniform(0.0, 0.05))
            assert process.poll() is None
            process.kill()
        assert verify(BundleStore(to), BundleStore(to).current_id()).bundle_id in {here, wanted}
    pull(source, to)
    assert not [name for name in names(to) if name.startswith(".")]


def test_a_reader_sees_only_whole_versions_while_they_come_and_go(tmp_path: Path, to: Path) -> None:
    """The reader opens the current bundle all the time, while another process pulls, replaces and removes."""
    source = tmp_path / "source"
    publish(source, OLDEST)
    pull(source, to)
    script = Path(__file__).with_name("killed_puller.py")
    seen = set()
    with subprocess.Popen([sys.executable, str(script), str(source), str(to)], stdout=subprocess.PIPE) as process:
        for bundle_id in (OLDER, NEWER, NEWEST):
            publish(source, bundle_id)
            until = time.monotonic() + 10
            while bundle_id not in seen and time.monotonic() < until:
                seen.add(Bundle.open(BundleStore(to).current()).bundle_id)
        process.send_signal(signal.SIGKILL)
    assert seen == {OLDEST, OLDER, NEWER, NEWEST}


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The URL of a bucket on an S3 server in this process, on a real socket."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        place = location("s3://bundles/prefix")
        assert isinstance(place, Remote)
        place._files.mkdir("bundles")
        yield "s3://bundles"
    server.stop()


def test_a_bundle_travels_through_s3(source: Path, to: Path, s3: str) -> None:
    """The path of production: the trainer's job pushes, each pod pulls, and the files arrive unchanged."""
    (source / OLDER / SIGNATURE).write_text("{}")
    there = f"{s3}/way/of/production"
    progress = Counting()
    assert push(BundleStore(source), there, progress).copied > 0
    assert progress.advanced >= progress.announced > 0
    assert pull(there, to).bundle_id == OLDER
    assert Bundle.open(to / OLDER).bundle_id == OLDER
    assert names(to / OLDER) == names(source / OLDER)
    publish(source, NEWER)
    push(BundleStore(source), there, Counting())
    pull(there, to)
    assert BundleStore(to).current_id() == NEWER


def test_a_second_push_copies_only_damaged_files(source: Path, to: Path, s3: str) -> None:
    """A push may be repeated and compares the bytes; a pull refuses the damaged file meanwhile."""
    there = f"{s3}/again"
    push(BundleStore(source), there, Counting())
    assert push(BundleStore(source), there, Counting()).copied == 0
    place = location(there)
    assert isinstance(place, Remote)
    path = source / OLDER / "ranker.onnx"
    place.write(f"{OLDER}/ranker.onnx", path.read_bytes()[:-1] + b"?")
    with pytest.raises(TransferError, match=rf"s3://.*/{OLDER}/ranker\.onnx does not match the manifest"):
        pull(there, to)
    assert push(BundleStore(source), there, Counting()).copied == path.stat().st_size
    assert pull(there, to).current


def test_a_push_that_ends_early_leaves_the_former_version_current(source: Path, to: Path, s3: str) -> None:
    """The pointer is written last, so no puller sees an incomplete bundle."""
    there = f"{s3}/early"
    push(BundleStore(source), there, Counting())
    publish(source, NEWER)

    class Ending(Counting):
        def advance(self, size: int) -> None:
            raise RuntimeError("the line is cut")

    with pytest.raises(TransferError, match="the line is cut"):
        push(BundleStore(source), there, Ending())
    assert pull(there, to).bundle_id == OLDER
    assert push(BundleStore(source), there, Counting()).bundle_id == NEWER
    assert pull(there, to).bundle_id == NEWER


def test_a_damaged_bundle_is_not_pushed(source: Path, to: Path, s3: str) -> None:
    """The bytes are compared with the manifest before they leave."""
    damage(source / OLDER / "ranker.onnx")
    with pytest.raises(ShortlistError, match=r"ranker\.onnx"):
        push(BundleStore(source), f"{s3}/damaged", Counting())
    with pytest.raises(ShortlistError, match="has no CURRENT"):
        pull(f"{s3}/damaged", to)


def test_a_push_to_a_directory_is_a_publication_there(source: Path, to: Path) -> None:
    """A directory gets a whole bundle like a bucket does, and keeps its pinned version current."""
    assert push(BundleStore(source), f"file://{to}", Counting()).current
    assert push(BundleStore(source), str(to), Counting()).copied == 0
    pin(BundleStore(to), OLDER)
    publish(source, NEWER)
    assert not push(BundleStore(source), str(to), Counting()).current
    assert names(to) == [OLDER, NEWER, "CURRENT", "PINNED"]


def test_a_push_makes_the_bundles_directory_but_not_its_parent(source: Path, tmp_path: Path, s3: str) -> None:
    """A store with directories works; a mistyped place is reported, not created."""
    there = f"local://{tmp_path}/there"
    for nowhere in (there, "s3://mistyped/prefix"):
        with pytest.raises(TransferError, match=nowhere):
            push(BundleStore(source), nowhere, Counting())
    assert not (tmp_path / "there").exists()
    (tmp_path / "there").mkdir()
    push(BundleStore(source), there, Counting())
    assert verify(BundleStore(tmp_path / "there"), OLDER).bundle_id == OLDER
    assert pull(there, tmp_path / "to").bundle_id == OLDER
    with pytest.raises(TransferError, match="mistyped"):
        pull("s3://mistyped/prefix", tmp_path / "to")


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        ("s3://no-such-bucket/prefix", r"s3://no-such-bucket/prefix"),
        ("nonsense://bucket/prefix", "nonsense"),
    ],
)
def test_an_unknown_place_is_reported(to: Path, s3: str, there: str, reason: str) -> None:
    """Every exception of a store's library becomes one error that names the URL."""
    with pytest.raises(TransferError, match=reason):
        pull(there, to)


def test_a_store_without_its_library_names_the_extra(to: Path) -> None:
    """The message names the missing extra, and other commands never load it."""
    code = f"""
import sys
sys.modules["s3fs"] = None
from pathlib import Path
import shortlist.cli
from shortlist.bundle.puller import Puller
from shortlist.bundle.store import BundleStore
assert "fsspec" not in sys.modules
Puller("s3://bucket", BundleStore(Path({str(to)!r})), None, check=None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'shortlist[store]'" in done.stderr.splitlines()[-1]
