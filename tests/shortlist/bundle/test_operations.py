"""The operator's actions: list, verify, pin, roll back, collect garbage."""

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


def test_a_list_shows_every_version_with_its_problem(store: BundleStore) -> None:
    """One unreadable manifest does not hide the other versions; the current and the pinned one are marked."""
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
    """Verification reads every byte of every file, and names the one that differs."""
    for path in sorted((store.root / NEWEST).iterdir()):
        if path.name != "manifest.json":
            good = path.read_bytes()
            damage(path)
            with pytest.raises(BundleError, match=f"{path.name}: sha256 differs"):
                verify(store, NEWEST)
            path.write_bytes(good)
    assert len(verify(store, NEWEST).files) == 21


def test_a_bundle_under_another_ones_name_is_refused(store: BundleStore) -> None:
    """A copy that was renamed by hand is noticed: its answers would carry an id that is not the directory's."""
    shutil.rmtree(store.root / NEWEST)
    shutil.copytree(store.root / OLDER, store.root / NEWEST)
    with pytest.raises(BundleError, match=f"belongs to bundle {OLDER}"):
        verify(store, NEWEST)


@pytest.mark.parametrize("bundle_id", ["20250101T000000-0001", "../elsewhere", ".", ""])
def test_only_a_bundle_can_be_pinned(store: BundleStore, bundle_id: str) -> None:
    """An id is never taken for a path, and a refusal changes nothing."""
    with pytest.raises(BundleError, match="is not a bundle"):
        pin(store, bundle_id)
    assert (store.current_id(), store.pinned_id()) == (NEWEST, None)


def test_a_rollback_goes_to_the_next_older_intact_bundle(store: BundleStore) -> None:
    """It cannot pin a damaged bundle: it skips it and reports the reason. The next rollback continues from there."""
    damage(store.root / NEWER / "index.faiss")
    done = roll_back(store)
    assert (done.former, done.current, store.current_id(), store.pinned_id()) == (NEWEST, OLDER, OLDER, OLDER)
    assert [error.path.name for error in done.refused] == ["index.faiss"]
    assert roll_back(store).current == OLDEST
    with pytest.raises(BundleError, match=f"no usable bundle older than {OLDEST}"):
        roll_back(store)
    assert store.current_id() == OLDEST


def test_garbage_collection_removes_old_bundles(store: BundleStore) -> None:
    """A dry run changes nothing and reports the same. The current bundle and its predecessor always stay."""
    planned = collect_garbage(store, 1, dry_run=True)
    assert store.ids() == [NEWEST, NEWER, OLDER, OLDEST]
    done = collect_garbage(store, 1)
    assert done == planned
    assert done.bundle_ids == (OLDER, OLDEST)
    assert done.size > 8000
    assert names(store.root) == [NEWER, NEWEST, "CURRENT"]


def test_garbage_collection_spares_the_bundle_of_a_rollback(store: BundleStore) -> None:
    """Age alone removes neither the pinned bundle nor the target of the next rollback."""
    pin(store, OLDER)
    assert collect_garbage(store, 1).bundle_ids == (NEWER,)
    assert store.ids() == [NEWEST, OLDER, OLDEST]


def test_an_unreadable_pointer_stops_garbage_collection(store: BundleStore) -> None:
    """Without it the served bundle is unknown, and could be removed."""
    (store.root / "CURRENT").write_text("")
    with pytest.raises(BundleError, match="CURRENT"):
        collect_garbage(store, 1)
    assert len(store.ids()) == 4


def test_the_leftovers_of_a_killed_writer_are_garbage(store: BundleStore) -> None:
    """Their size is counted and they are removed, while the files of a living writer stay."""
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
        # This writer has already removed the leftovers.
        assert collect_garbage(store, 4).abandoned == 0
        assert directory.exists()
    assert subprocess.run([sys.executable, "-c", script, str(store.root)], check=False).returncode == -9
    done = collect_garbage(store, 5)
    assert (done.abandoned, done.size) == (1, 5000)
    assert not [name for name in names(store.root) if name.startswith(".")]
