"""The served bundles follow the pointer."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shortlist.bundle import BundleStore
from shortlist.errors import BundleError, BundleNotServed, Unavailable
from shortlist.serving.served_bundles import ServedBundles

A, B, C = (f"20260101T00000{number}-0000" for number in range(3))


@dataclass
class Opened:
    """Stands for an object that answers from a bundle; has only the bundle's id."""

    bundle: Any


class Opener:
    """Opens all but the bad bundles, and records the requests."""

    def __init__(self) -> None:
        self.bad: dict[str, Exception] = {}
        self.asked: list[str] = []

    def __call__(self, directory: Path) -> Opened:
        self.asked.append(directory.name)
        if directory.name in self.bad:
            raise self.bad[directory.name]
        return Opened(SimpleNamespace(bundle_id=directory.name, create_time=datetime.now(UTC)))


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    """A directory with three bundles, the first of which is current."""
    for bundle_id in (A, B, C):
        (tmp_path / bundle_id).mkdir()
    store = BundleStore(tmp_path)
    store.point_to(A)
    return store


@pytest.fixture
def opener() -> Opener:
    """The function that opens bundles."""
    return Opener()


@pytest.fixture
def served(store: BundleStore, opener: Opener) -> ServedBundles[Opened]:
    """The first bundle, served."""
    served = ServedBundles(store, opener)
    served.load()
    return served


def _ids(served: ServedBundles[Opened]) -> tuple[str, str]:
    return served.get().bundle.bundle_id, served.previous_id


def test_nothing_is_answered_before_something_is_loaded(store: BundleStore, opener: Opener) -> None:
    """An early caller gets UNAVAILABLE, so it tries again."""
    with pytest.raises(Unavailable):
        ServedBundles(store, opener).get()


def test_the_pointer_is_followed_and_the_predecessor_kept(served: ServedBundles[Opened], store: BundleStore) -> None:
    """After a swap callers can ask for two bundles by id, and for no third."""
    for bundle_id in (B, C):
        store.point_to(bundle_id)
        served.follow()
    assert _ids(served) == (C, B)
    assert served.get(B).bundle.bundle_id == B
    with pytest.raises(BundleNotServed) as caught:
        served.get(A)
    assert caught.value.served == (C, B)


def test_going_back_loads_nothing(served: ServedBundles[Opened], store: BundleStore, opener: Opener) -> None:
    """A rollback only reads the pointer."""
    for bundle_id in (B, A):
        store.point_to(bundle_id)
        served.follow()
    assert _ids(served) == (A, B)
    assert opener.asked == [A, B]


@pytest.mark.parametrize("error", [BundleError(Path("index.faiss"), "is missing"), MemoryError("too large")], ids=type)
def test_a_bad_bundle_is_tried_three_times_after_growing_pauses(
    error: Exception,
    served: ServedBundles[Opened],
    store: BundleStore,
    opener: Opener,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The old bundle is kept, the reason is reported, and a bundle that stays bad costs no further time.

    The log says when the next attempt comes, and which was the last.
    """
    opener.bad[B] = error
    store.point_to(B)
    tries = _follow_for(3600, served, opener, monkeypatch)
    assert tries == [pytest.approx(0, abs=0.6), pytest.approx(2, abs=1.1), pytest.approx(10, abs=1.6)]
    assert _ids(served) == (A, "")
    assert served.failure is not None
    assert (served.failure.bundle_id, served.failure.attempts) == (B, 3)
    assert ("is missing" if isinstance(error, BundleError) else "MemoryError") in served.failure.reason
    logged = [record.message.partition(":")[0] for record in caplog.records if "attempt" in record.message]
    outlooks = ("the next is in 2 s", "the next is in 8 s", "it was the last")
    assert logged == [f"attempt {n} to load bundle {B} failed, and {outlook}" for n, outlook in enumerate(outlooks, 1)]


def _follow_for(
    seconds: int, served: ServedBundles[Opened], opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> list[float]:
    """Follows the pointer twice a second; returns the times at which bundles were opened."""
    started, now, tries = time.monotonic(), 0.0, list[float]()
    monkeypatch.setattr(time, "monotonic", lambda: started + now)
    while now < seconds:
        before = len(opener.asked)
        served.follow()
        if len(opener.asked) > before:
            tries.append(now)
        now += 0.5
    return tries


def test_a_bundle_that_becomes_usable_is_served(
    served: ServedBundles[Opened], store: BundleStore, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow volume costs a moment, and the failure is forgotten."""
    opener.bad[B] = BundleError(Path("index.faiss"), "is missing")
    store.point_to(B)
    served.follow()
    assert served.failure is not None
    opener.bad.clear()
    _follow_for(5, served, opener, monkeypatch)
    assert _ids(served) == (B, A)
    assert served.failure is None


def test_a_good_bundle_after_a_bad_one_is_served_at_once(
    served: ServedBundles[Opened], store: BundleStore, opener: Opener
) -> None:
    """Only the bad bundle is given up."""
    opener.bad[B] = BundleError(Path("index.faiss"), "is missing")
    for bundle_id in (B, C):
        store.point_to(bundle_id)
        served.follow()
    assert _ids(served) == (C, A)


def _unreadable(pointer: Path) -> None:
    pointer.unlink()
    pointer.mkdir()


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("../elsewhere"), _unreadable])
def test_a_bad_pointer_changes_nothing_and_is_logged_once(
    damage: Callable[[Path], object],
    served: ServedBundles[Opened],
    store: BundleStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The served bundle stays, whatever happens to the pointer."""
    damage(store.root / "CURRENT")
    for _ in range(5):
        served.follow()
    assert _ids(served) == (A, "")
    assert served.failure is not None
    assert served.failure.bundle_id == ""
    assert len([record for record in caplog.records if "CURRENT" in record.message]) == 1


def test_nothing_starts_without_a_usable_bundle(store: BundleStore, opener: Opener) -> None:
    """The error is the current bundle's, which the operator must look at."""
    opener.bad = {bundle_id: BundleError(Path(bundle_id), "is bad") for bundle_id in (A, B, C)}
    with pytest.raises(BundleError, match=A):
        ServedBundles(store, opener).load()
    assert opener.asked == [A, C, B]
