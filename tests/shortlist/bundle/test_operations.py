"""What an operator does."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shortlist.bundle.operations import collect_garbage, list_bundles, pin, roll_back, verify
from shortlist.bundle.store import BundleStore
from shortlist.errors import BundleError
from tests.shortlist.bundle.fake import NEWER, NEWEST, OLDER, OLDEST, damage, names, publish


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    """Four versions, of which the newest is current."""
    publish(tmp_path, OLDEST, OLDER, NEWER, NEWEST)
    return BundleStore(tmp_path)


def test_a_list_shows_every_version_and_what_is_wrong_with_it(store: BundleStore) -> None:
    """Proves that one unreadable manifest does not hide the others, and which are current and pinned."""
    (store.root / OLDER / "manifest.json").write_text("{}")
    pin(store, NEWER)
    listed = list_bundles(store)
    assert [one.bundle_id for one in listed] == [NEWEST, NEWER, OLDER, OLDEST]
    assert [one.bundle_id for one in listed if one.current and one.pinned] == [NEWER]
    assert sum(one.current or one.pinned for one in listed) == 1
    assert ["format version" in one.problem for one in listed] == [False, False, True, False]
    assert listed[0].manifest is not None
    assert listed[0].size == sum(path.stat().st_size for path in (store.root / NEWEST).iterdir())


def test_a_flipped_bit_is_found_in_any_file(store: BundleStore) -> None:
    """Proves that verify reads every byte of every file, and names the one that differs."""
    for path in sorted((store.root / NEWEST).iterdir()):
        if path.name != "manifest.json":
            good = path.read_bytes()
            damage(path)
            with pytest.raises(BundleError, match=f"{path.name}: sha256 differs"):
                verify(store, NEWEST)
            path.write_bytes(good)
    assert len(verify(store, NEWEST).files) == 20


def test_a_bundle_under_another_ones_name_is_refused(store: BundleStore) -> None:
    """Proves that a copy that was renamed by hand is noticed: answers would carry an id that is not the directory's."""
    shutil.rmtree(store.root / NEWEST)
    shutil.copytree(store.root / OLDER, store.root / NEWEST)
    with pytest.raises(BundleError, match=f"that of bundle {OLDER}"):
        verify(store, NEWEST)


@pytest.mark.parametrize("bundle_id", ["20250101T000000-0001", "../elsewhere", ".", ""])
def test_what_is_no_bundle_is_not_pinned(store: BundleStore, bundle_id: str) -> None:
    """Proves that an id is not taken for a path, and that nothing is changed."""
    with pytest.raises(BundleError, match="is not a bundle"):
        pin(store, bundle_id)
    assert (store.current_id(), store.pinned_id()) == (NEWEST, None)


def test_a_damaged_bundle_is_not_pinned(store: BundleStore) -> None:
    """Proves that the check comes before the pointer."""
    damage(store.root / OLDER / "ranker.onnx")
    with pytest.raises(BundleError, match=r"ranker\.onnx"):
        pin(store, OLDER)
    assert (store.current_id(), store.pinned_id()) == (NEWEST, None)


def test_a_rollback_goes_to_the_next_older_one_that_is_whole(store: BundleStore) -> None:
    """Proves that a damaged one is passed over and told, and that the next rollback goes on from there."""
    damage(store.root / NEWER / "index.faiss")
    done = roll_back(store)
    assert (done.former, done.current, store.current_id(), store.pinned_id()) == (NEWEST, OLDER, OLDER, OLDER)
    assert [error.path.name for error in done.refused] == ["index.faiss"]
    assert roll_back(store).current == OLDEST
    with pytest.raises(BundleError, match=f"no usable bundle that is older than {OLDEST}"):
        roll_back(store)
    assert store.current_id() == OLDEST


def test_garbage_is_what_is_old_and_not_needed(store: BundleStore) -> None:
    """Proves that a dry run changes nothing and says the same, and that current and the one before it always stay."""
    planned = collect_garbage(store, 1, dry_run=True)
    assert store.ids() == [NEWEST, NEWER, OLDER, OLDEST]
    done = collect_garbage(store, 1)
    assert done == planned
    assert done.bundle_ids == (OLDER, OLDEST)
    assert done.size > 8000
    assert names(store.root) == [NEWER, NEWEST, "CURRENT"]


def test_what_is_served_after_a_rollback_is_no_garbage(store: BundleStore) -> None:
    """Proves that age alone removes neither the pinned and current one nor the one that a rollback would take."""
    pin(store, OLDER)
    assert collect_garbage(store, 1).bundle_ids == (NEWER,)
    assert store.ids() == [NEWEST, OLDER, OLDEST]


def test_garbage_is_not_collected_when_nobody_knows_what_is_served(store: BundleStore) -> None:
    """Proves that a pointer that cannot be read stops it."""
    (store.root / "CURRENT").write_text("")
    with pytest.raises(BundleError, match="CURRENT"):
        collect_garbage(store, 1)
    assert len(store.ids()) == 4


def test_what_a_killed_writer_left_is_garbage(store: BundleStore) -> None:
    """Proves that its size is counted and that it goes, while what a living writer writes stays."""
    script = """
import os, sys
from pathlib import Path
from shortlist.bundle.store import BundleStore
with BundleStore(Path(sys.argv[1])).publishing("20260105T000000-0005") as directory:
    (directory / "file").write_bytes(bytes(5000))
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", script, str(store.root)], check=False).returncode == -9
    with store.publishing("20260106T000000-0006") as directory:
        # The writer that comes next removes it already.
        assert collect_garbage(store, 4).abandoned == 0
        assert directory.exists()
    assert subprocess.run([sys.executable, "-c", script, str(store.root)], check=False).returncode == -9
    done = collect_garbage(store, 5)
    assert (done.abandoned, done.size) == (1, 5000)
    assert not [name for name in names(store.root) if name.startswith(".")]
