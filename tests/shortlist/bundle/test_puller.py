"""A directory takes only bundles that are proven to work, and keeps the ones that it can fall back to."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from shortlist.bundle import Bundle
from shortlist.bundle.operations import collect_garbage
from shortlist.bundle.puller import Pulled, Puller
from shortlist.bundle.store import BundleStore
from shortlist.errors import BundleError, ShortlistError
from tests.shortlist.bundle.fake import NEWER, NEWEST, OLDER, OLDEST, damage, names, publish
from tests.support.small_bundle import publish_small_bundle

_ALL = (OLDEST, OLDER, NEWER, NEWEST)


class Checking:
    """A check that refuses some bundles, and records the ones that it sees; also the progress of a copy."""

    def __init__(self, *bad: str) -> None:
        self.bad, self.seen, self.copied = set(bad), list[str](), list[str]()

    def __call__(self, directory: Path) -> None:
        self.seen.append(Bundle.open(directory).bundle_id)
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
