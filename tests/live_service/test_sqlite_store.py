"""The file of a store of events: its lock, its damage, its full disk, and the bytes that it forgets."""

import contextlib
import math
import random
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from live_service.events import Event
from live_service.store.sqlite_store import SqliteStore
from shortlist.catalog_item import HIDDEN, CatalogItem
from shortlist.errors import StoreError, Unavailable
from shortlist.observability import metrics


def event(number: int, user_id: str) -> Event:
    return Event(
        event_id=f"event-{number}", user_id=user_id, item_id=f"item-{number}", event="view", value=None, time=number
    )


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def test_events_survive_a_restart(tmp_path: Path) -> None:
    """Proves that the position goes on as well."""
    first = SqliteStore.open(tmp_path / "events.sqlite")
    position = first.record([event(1, "ann")]).position
    first.close()
    second = SqliteStore.open(tmp_path / "events.sqlite")
    assert [one.item_id for one in second.histories(["ann"], 10, None).histories[0]] == ["item-1"]
    assert second.record([event(2, "ann")]).position > position
    second.close()


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    """Proves that the message says what to do, and that the file is free once the first one has closed it."""
    first = SqliteStore.open(tmp_path / "events.sqlite")
    with pytest.raises(StoreError, match="another process writes to it; stop that one"):
        SqliteStore.open(tmp_path / "events.sqlite")
    first.close()
    SqliteStore.open(tmp_path / "events.sqlite").close()


def test_another_name_of_the_file_is_refused_as_well(tmp_path: Path) -> None:
    """Proves it for a symbolic link and for a hard one."""
    first = SqliteStore.open(tmp_path / "events.sqlite")
    (tmp_path / "symbolic").symlink_to(tmp_path / "events.sqlite")
    (tmp_path / "hard").hardlink_to(tmp_path / "events.sqlite")
    for name in ("symbolic", "hard"):
        with pytest.raises(StoreError, match="another process writes to it"):
            SqliteStore.open(tmp_path / name)
    first.close()


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Proves it for the log of the file as well."""
    store = SqliteStore.open(tmp_path / "events.sqlite")
    store.record([event(1, "ann")])
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    store.close()


def test_nothing_is_left_of_users_whose_events_are_all_trimmed(tmp_path: Path) -> None:
    """Proves it for users with events, and for users who took back events that never came."""
    store = SqliteStore.open(tmp_path / "events.sqlite")
    back = replace(event(2600, "secret-person-2"), item_id="", event="", retracts="never-came")
    store.record([*(event(number, "secret-person-1") for number in range(2500)), back, event(10**6, "ann")])
    assert store.trim(10**5, 10) == 2501
    store.forget("nobody")
    assert b"secret-person" not in bytes_of(tmp_path)
    assert len(store.histories(["ann"], 10, None).histories[0]) == 1
    store.close()


def test_events_are_recorded_while_forgetting_waits_for_a_reader(tmp_path: Path) -> None:
    """Proves that one user who is forgotten does not keep the others' events waiting."""
    store = SqliteStore.open(tmp_path / "events.sqlite")
    store.record([event(1, "ann")])
    with ThreadPoolExecutor(1) as pool, store._reading() as reader:
        reader.execute("SELECT count(*) FROM events").fetchone()
        forgetting = pool.submit(store.forget, "ann")
        for number in range(2, 12):
            store.record([event(number, "bob")])
        assert not forgetting.done()
        reader.execute("COMMIT")
        reader.execute("BEGIN")
        assert forgetting.result(10).deleted == 1
    store.close()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def scramble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 3 + 2000] = bytes(range(200)) * 10
    path.write_bytes(content)


def replace_by_text(path: Path) -> None:
    path.write_text("no database, and long enough to look at" * 10)


def replace_by_another(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE other (x)")


def age(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, "is damaged .*; restore it from a copy"),
        (scramble, "is damaged .*; restore it from a copy"),
        (replace_by_text, "is damaged .*; restore it from a copy"),
        (replace_by_another, "is another program's database; name another file"),
        (age, "has schema 99, and this release reads 3 to 4"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused(tmp_path: Path, damage: Callable[[Path], None], reason: str) -> None:
    """Proves that damage is found at the start, before an event is recorded beside it."""
    path = tmp_path / "events.sqlite"
    store = SqliteStore.open(path)
    store.record([event(number, f"user-{number % 50}") for number in range(1000)])
    store.close()
    damage(path)
    with pytest.raises(StoreError, match=reason):
        SqliteStore.open(path)


def test_a_file_of_the_release_before_is_brought_to_this_one(tmp_path: Path) -> None:
    """Proves that its hidden items and its events stay, and that the next start finds this release's file."""
    path = tmp_path / "events.sqlite"
    store = SqliteStore.open(path)
    position = store.record([event(1, "ann")]).position
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE items DROP COLUMN content")
        connection.execute("INSERT INTO items VALUES ('lamp', 1, NULL, NULL, 1)")
        connection.execute("PRAGMA user_version = 3")
        connection.commit()
    for _ in range(2):
        store = SqliteStore.open(path)
        assert store.catalog.changes(0, 10).items == [CatalogItem(item_id="lamp", availability=HIDDEN)]
        assert store.histories(["ann"], 10, None).position == position
        store.close()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """Proves that the message names the path; so does that of a folder in place of the file."""
    with pytest.raises(StoreError, match="cannot be used"):
        SqliteStore.open(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file/events\.sqlite: cannot be used"):
        SqliteStore.open(tmp_path / "file" / "events.sqlite")


def test_a_full_disk_records_nothing_and_is_over_once_there_is_room(tmp_path: Path) -> None:
    """Proves that a call is recorded whole or not at all, and that histories are still given meanwhile."""
    store = SqliteStore.open(tmp_path / "events.sqlite")
    store.record([event(0, "ann")])
    pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
    store._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    many = [event(number, f"user-{number}") for number in range(1, 1000)]
    with pytest.raises(Unavailable, match="database or disk is full") as raised:
        store.record(many)
    assert raised.value.retry_seconds > 0
    assert [len(one) for one in store.histories(["ann", "user-1"], 10, None).histories] == [1, 0]
    store._writer.execute("PRAGMA max_page_count = 1000000")
    store.record(many)
    assert [len(one) for one in store.histories(["ann", "user-1"], 10, None).histories] == [1, 1]
    store.close()


def test_the_free_disk_of_the_file_is_a_metric(tmp_path: Path) -> None:
    """Proves that it is read anew at each scrape, and that a lost folder does not hide the other metrics."""
    SqliteStore.open(tmp_path / "folder" / "events.sqlite").close()
    labels = {"content": "events"}
    free, size = (
        metrics.REGISTRY.get_sample_value(f"shortlist_disk_{name}_bytes", labels) for name in ("free", "size")
    )
    assert free is not None
    assert size == shutil.disk_usage(tmp_path).total
    assert 0 < free <= size
    shutil.rmtree(tmp_path / "folder")
    assert math.isnan(metrics.REGISTRY.get_sample_value("shortlist_disk_free_bytes", labels) or 0)


def test_no_byte_of_a_forgotten_user_is_left(tmp_path: Path) -> None:
    """Proves it for users among thousands of others, whose pages were split, and while the log had their events."""
    store = SqliteStore.open(tmp_path / "events.sqlite")
    chance = random.Random(3)  # noqa: S311 - a seed, so that a failure can be seen again
    forgotten = [f"secret-person-{number}" for number in range(40)]
    others = [f"somebody-{number}" for number in range(2000)]
    for batch in range(12):
        users = chance.choices(others, k=400) + chance.choices(forgotten, k=60)
        chance.shuffle(users)
        store.record([event(batch * 1000 + place, user) for place, user in enumerate(users)])
    assert b"secret-person" in bytes_of(tmp_path)
    for user in forgotten:
        store.forget(user)
        assert user.encode() + b"event" not in bytes_of(tmp_path)
    assert b"secret-person" not in bytes_of(tmp_path)
    store.close()


def test_a_reader_that_keeps_the_old_state_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that forgetting does not claim to be done while the log still holds the events."""
    monkeypatch.setattr("live_service.store.sqlite_store._CLEAN_SECONDS", 0.05)
    store = SqliteStore.open(tmp_path / "events.sqlite")
    store.record([event(1, "secret-person")])
    with store._reading() as reader:
        reader.execute("SELECT count(*) FROM events").fetchone()
        with pytest.raises(Unavailable, match="a log still holds them; call again"):
            store.forget("secret-person")
    assert store.forget("secret-person").deleted == 0
    assert b"secret-person" not in bytes_of(tmp_path)
    store.close()
