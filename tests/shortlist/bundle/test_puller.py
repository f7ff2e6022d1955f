"""A directory takes only bundles that are proven to work, and keeps the ones that it can fall back to."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from shortlist.bundle import Bundle, puller
from shortlist.bundle.manifest import Manifest
from shortlist.bundle.operations import Unproven, collect_garbage
from shortlist.bundle.puller import Pulled, Puller
from shortlist.bundle.store import BundleStore
from shortlist.errors import BundleError, ShortlistError
from tests.shortlist.bundle.fake import NEWER, NEWEST, OLDER, OLDEST, damage, names, publish
from tests.support.small_bundle import publish_small_bundle

_ALL = (OLDEST, OLDER, NEWER, NEWEST)


class Checking:
    """A check that refuses some bundles, and records the ones that it sees; also the progress of a copy.

    The first checks of others end without a verdict.
    """

    def __init__(self, *bad: str, dying: Mapping[str, int] | None = None) -> None:
        self.bad, self.seen, self.copied = set(bad), list[str](), list[str]()
        self.dying = {**dying} if dying else {}

    def __call__(self, directory: Path) -> None:
        self.seen.append(Bundle.open(directory).bundle_id)
        if self.dying.get(directory.name, 0):
            self.dying[directory.name] -= 1
            raise Unproven(directory, "was killed")
        if directory.name in self.bad:
            raise BundleError(directory, "answers nothing")

    def begin(self, what: str, size: int) -> None:
        self.copied.append(what.split()[-1])

    def advance(self, size: int) -> None: ...


def _puller(source: Path, to: Path, check: Checking, keep: int = 2) -> Puller:
    return Puller(str(source), BundleStore(to), check, keep=keep, check=check)


def _serves(pulled: Pulled) -> tuple[str, bool]:
    return pulled.bundle_id, pulled.refused is not None


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory whose current bundle is the oldest of four."""
    publish(tmp_path / "source", *_ALL)
    BundleStore(tmp_path / "source").point_to(OLDEST)
    return tmp_path / "source"


def test_a_refused_bundle_leaves_nothing_and_is_copied_once(source: Path, tmp_path: Path) -> None:
    """Proves that the served bundle stays, that no gigabytes are left, and that a watch does not copy it each time."""
    check, to = Checking(OLDER), tmp_path / "to"
    puller = _puller(source, to, check)
    assert _serves(puller.pull()) == (OLDEST, False)
    BundleStore(source).point_to(OLDER)
    for _ in range(3):
        assert _serves(puller.pull()) == (OLDEST, True)
    assert (check.copied, check.seen) == ([OLDEST, OLDER], [OLDEST, OLDER])
    assert names(to) == [OLDEST, "CURRENT"]
    BundleStore(source).point_to(NEWER)
    assert _serves(puller.pull()) == (NEWER, False)


def test_a_check_that_was_killed_is_tried_again(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that one moment without memory refuses no bundle, that there is a pause, and that the log counts."""
    check = Checking(dying={OLDER: 1})
    watch = _puller(source, tmp_path / "to", check)
    watch.pull()
    BundleStore(source).point_to(OLDER)
    for _ in range(2):
        pulled = watch.pull()
        assert _serves(pulled) == (OLDEST, True)
        assert str(pulled.refused) == f"{source / OLDER}: was killed; attempt 1 of 3"
    assert check.copied == [OLDEST, OLDER]
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + puller._FIRST_PAUSE_SECONDS)
    assert _serves(watch.pull()) == (OLDER, False)


def test_a_bundle_that_always_kills_its_check_is_copied_three_times(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that such a bundle does not keep the disk and the network busy for ever, after pauses that grow."""
    check = Checking(dying={OLDER: 99})
    watch = _puller(source, tmp_path / "to", check)
    watch.pull()
    BundleStore(source).point_to(OLDER)
    start = time.monotonic()
    tried = []
    for seconds in range(0, 1000, 10):
        monkeypatch.setattr(time, "monotonic", lambda at=start + seconds: at)
        before, pulled = len(check.copied), watch.pull()
        assert _serves(pulled) == (OLDEST, True)
        tried += [seconds] * (len(check.copied) - before)
    assert tried == [0, 30, 150]
    assert "attempt 3 of 3" in str(pulled.refused)
    assert names(tmp_path / "to") == [OLDEST, "CURRENT"]


def test_a_fresh_directory_serves_an_older_bundle_while_the_newest_has_no_verdict(source: Path, tmp_path: Path) -> None:
    """Proves that a pod whose check is killed starts, and that its source's bundle is named by the source."""
    BundleStore(source).point_to(NEWEST)
    pulled = _puller(source, tmp_path / "to", Checking(dying={NEWEST: 1})).pull()
    assert _serves(pulled) == (NEWER, True)
    assert str(pulled.refused).startswith(f"{source / NEWEST}: was killed")


def test_an_error_names_the_bundle_in_its_source(source: Path, tmp_path: Path) -> None:
    """Proves it for a refusal and for a manifest, and that a URL keeps its slashes; the copy is gone by then."""
    BundleStore(source).point_to(OLDEST)
    check, url = Checking(OLDEST), f"local://{source}"
    with pytest.raises(BundleError, match=f"^{url}/{OLDEST}: answers nothing"):
        Puller(url, BundleStore(tmp_path / "to"), check, check=check).pull()
    (source / OLDEST / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match=f"^{source}/{OLDEST}/manifest.json: cannot be read"):
        _puller(source, tmp_path / "to", Checking()).pull()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The bundles whose files are read as a whole, in order."""
    read, verify = list[str](), Manifest.verify

    def verify_and_note(manifest: Manifest, directory: Path) -> None:
        read.append(manifest.bundle_id)
        verify(manifest, directory)

    monkeypatch.setattr(Manifest, "verify", verify_and_note)
    return read


def test_a_watch_reads_a_proven_bundle_once_although_another_is_pinned(
    source: Path, tmp_path: Path, read: list[str]
) -> None:
    """Proves that a round costs no digests until a file changes, and that the end of the pin is seen."""
    check, store = Checking(), BundleStore(tmp_path / "to")
    watch = _puller(source, store.root, check)
    watch.pull()
    store.pin(OLDEST)
    BundleStore(source).point_to(OLDER)
    assert not watch.pull().current
    read.clear()
    for _ in range(3):
        pulled = watch.pull()
        assert (pulled.bundle_id, pulled.current) == (OLDER, False)
    assert read == []
    damage(store.root / OLDER / "ranker.onnx")
    watch.pull()
    assert check.copied == [OLDEST, OLDER, OLDER]
    store.unpin()
    assert watch.pull().current
    assert store.current_id() == OLDER


def test_bad_bundles_do_not_push_out_the_good_one(source: Path, tmp_path: Path) -> None:
    """Proves that any number of unusable bundles leaves the usable one, whatever the number to keep."""
    to = tmp_path / "to"
    for bundle_id in _ALL:
        BundleStore(source).point_to(bundle_id)
        assert _serves(_puller(source, to, Checking(*_ALL[1:]), keep=1).pull())[0] == OLDEST
    assert names(to) == [OLDEST, "CURRENT"]


def test_a_fresh_directory_takes_the_newest_usable_bundle_of_its_source(source: Path, tmp_path: Path) -> None:
    """Proves that a new pod serves although the source's current bundle is unusable, and the one before damaged."""
    BundleStore(source).point_to(NEWEST)
    damage(source / NEWER / "ranker.onnx")
    pulled = _puller(source, tmp_path / "to", Checking(NEWEST)).pull()
    assert _serves(pulled) == (OLDER, True)
    assert BundleStore(tmp_path / "to").current_id() == OLDER
    assert names(tmp_path / "to") == [OLDER, "CURRENT"]


def test_a_fresh_directory_without_a_usable_bundle_says_why(source: Path, tmp_path: Path) -> None:
    """Proves that the error is the current one's, and that nothing is adopted."""
    BundleStore(source).point_to(NEWEST)
    with pytest.raises(BundleError, match=f"{NEWEST}: answers nothing"):
        _puller(source, tmp_path / "to", Checking(*_ALL)).pull()
    assert names(tmp_path / "to") == []


def test_a_remote_source_is_searched_too(source: Path, tmp_path: Path) -> None:
    """Proves the same where fsspec lists the names."""
    BundleStore(source).point_to(NEWEST)
    check = Checking(NEWEST)
    puller = Puller(f"local://{source}", BundleStore(tmp_path / "to"), check, check=check)
    assert _serves(puller.pull()) == (NEWER, True)


def test_an_adopted_bundle_of_an_earlier_release_is_proven_first(source: Path, tmp_path: Path) -> None:
    """Proves that a bundle that was pulled before there was a check is not trusted for being here."""
    to = tmp_path / "to"
    shutil.copytree(source, to)
    BundleStore(to).point_to(NEWEST)
    BundleStore(source).point_to(NEWEST)
    assert _serves(_puller(source, to, Checking(NEWEST)).pull()) == (NEWER, True)


def test_garbage_collection_spares_what_a_service_would_fall_back_to(tmp_path: Path) -> None:
    """Proves that a directory that a trainer publishes into keeps its newest usable bundle."""
    publish(tmp_path, *_ALL)
    for bundle_id in (OLDER, NEWER, NEWEST):
        damage(tmp_path / bundle_id / "item_vectors.npy")
    assert collect_garbage(BundleStore(tmp_path), 1).bundle_ids == (OLDER,)
    assert BundleStore(tmp_path).ids() == [NEWEST, NEWER, OLDEST]


def test_a_proven_bundle_without_all_its_bytes_is_not_fallen_back_to(tmp_path: Path) -> None:
    """Proves that garbage collection looks at the sizes of the files, and spares an older usable bundle."""
    publish(tmp_path, *_ALL)
    store = BundleStore(tmp_path)
    for bundle_id in _ALL:
        store.adopt(bundle_id, proven=True)
    os.truncate(tmp_path / NEWEST / "item_vectors.npy", 10)
    (tmp_path / NEWER / "ranker.onnx").unlink()
    assert collect_garbage(store, 1).bundle_ids == (OLDEST,)
    assert store.ids() == [NEWEST, NEWER, OLDER]


def test_garbage_collection_without_a_verdict_removes_nothing(source: Path, tmp_path: Path) -> None:
    """Proves that a killed check of an older bundle neither removes it nor spoils the pull of the new one."""
    to = tmp_path / "to"
    shutil.copytree(source, to)
    BundleStore(to).pin(NEWEST)
    pulled = _puller(source, to, Checking(dying={NEWEST: 1}), keep=1).pull()
    assert (pulled.bundle_id, pulled.removed, pulled.refused) == (OLDEST, (), None)
    assert BundleStore(to).ids() == sorted(_ALL, reverse=True)


_PULL = """
import sys
from shortlist.cli import main
sys.exit(main(["bundles", "pull", sys.argv[1], "--to", sys.argv[2]]))
"""


def _pull_by(count: int, source: Path, to: Path) -> Sequence[tuple[int, str]]:
    command = [sys.executable, "-c", _PULL, str(source), str(to)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return [(one.wait(60), one.communicate()[0]) for one in running]


def test_four_pullers_at_once_copy_once(tmp_path: Path) -> None:
    """Proves that each ends with 0 and that the directory has one whole copy, without debris."""
    source, to = tmp_path / "source", tmp_path / "to"
    directory = publish_small_bundle(source)
    done = _pull_by(4, source, to)
    assert [code for code, _ in done] == [0] * 4
    assert sorted("it was here" in text for _, text in done) == [False, True, True, True]
    assert names(to) == [directory.name, "CURRENT"]
    assert Bundle.open(to / directory.name).bundle_id == directory.name


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_a_source_whose_pointer_is_no_file_is_an_error(source: Path, tmp_path: Path, make: object) -> None:
    """Proves that a pipe in the place of the pointer does not hang a puller."""
    (source / "CURRENT").unlink()
    assert callable(make)
    make(source / "CURRENT")
    with pytest.raises(ShortlistError, match="CURRENT cannot be read"):
        _puller(source, tmp_path / "to", Checking()).pull()
