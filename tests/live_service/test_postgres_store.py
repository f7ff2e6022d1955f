"""The database of a store of events: its replicas, its failures, its migrations, and what it forgets."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import grpc
import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from live_service.events import Event, Outcome
from live_service.store import postgres_migrations, postgres_url
from live_service.store.opening import open_store
from live_service.store.postgres_store import _HISTORIES, PostgresStore
from shortlist.errors import StoreError, Unavailable
from shortlist.live.v1 import event_service_pb2 as pb
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from shortlist.status import read_error
from testbed.postgres import PostgresServer
from tests.support.in_process import live_address

_VIEW = Event(event_id="1", user_id="ann", item_id="lamp", event="view", value=None, time=10**9)
_TABLES = ("users", "events", "retracted", "forgotten", "state", "migrations")


def view(number: int, user_id: str = "ann") -> Event:
    return replace(
        _VIEW, event_id=f"{number}-{len(user_id)}", user_id=user_id, item_id=f"i{number}", time=10**9 + number
    )


@contextlib.contextmanager
def opened(url: str) -> Iterator[PostgresStore]:
    store = PostgresStore.open(url)
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def connected(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(url, autocommit=True, options="-c search_path=shortlist_live") as connection:
        yield connection


def content_of(url: str) -> bytes:
    """Every row of every table, as text."""
    with connected(url) as connection:
        rows = [connection.execute(f"SELECT {table}::text FROM {table}").fetchall() for table in _TABLES]  # noqa: S608
    return repr(rows).encode()


def test_two_replicas_give_one_history(database: str) -> None:
    """Proves it for services over one database that get the same events at the same time."""
    with live_address(database) as one, live_address(database) as other, contextlib.ExitStack() as channels:
        stubs = [EventServiceStub(channels.enter_context(grpc.insecure_channel(address))) for address in (one, other)]
        moment = int(time.time()) - 100

        def send(stub: EventServiceStub) -> list[int]:
            outcomes: list[int] = []
            for number in range(30):
                at = Timestamp(seconds=moment + number)
                event = pb.Event(event_id=str(number), user_id="ann", item_id=f"i{number}", time=at)
                outcomes.append(
                    stub.RecordEvents(pb.RecordEventsRequest(events=[event]), timeout=10).statuses[0].outcome
                )
            return outcomes

        with ThreadPoolExecutor(2) as pool:
            results = [*pool.map(send, stubs)]
        for both in zip(*results, strict=True):
            assert sorted(both) == [pb.EVENT_OUTCOME_RECORDED, pb.EVENT_OUTCOME_DUPLICATE]
        ask = pb.GetHistoriesRequest(user_ids=["ann"], limit=100)
        first, second = (stub.GetHistories(ask) for stub in stubs)
        assert first == second
        assert [item.item_id for item in first.histories[0].items] == [f"i{number}" for number in range(30)]
        conflict = pb.Event(event_id="7", user_id="ann", item_id="rug", time=Timestamp(seconds=moment))
        answer = stubs[1].RecordEvents(pb.RecordEventsRequest(events=[conflict]), timeout=10)
        assert answer.statuses[0].outcome == pb.EVENT_OUTCOME_CONFLICT


def test_who_sees_a_position_sees_every_event_up_to_it(database: str) -> None:
    """Proves it for a reader beside three replicas that write: the position is the number of events at all times."""
    ended = threading.Event()

    def write(replica: int) -> None:
        with opened(database) as store:
            for number in range(40):
                store.record([view(1000 * replica + number)])

    def read() -> list[tuple[int, int]]:
        seen = []
        with opened(database) as store:
            while not ended.is_set():
                found = store.histories(["ann"], 5000, None)
                seen.append((found.position, len(found.histories[0])))
        return seen

    with ThreadPoolExecutor(4) as pool:
        reading = pool.submit(read)
        for writing in [pool.submit(write, replica) for replica in range(3)]:
            writing.result(30)
        ended.set()
        seen = reading.result(30)
    assert [pair for pair in seen if pair[0] != pair[1]] == []
    assert len(set(seen)) > 3
    assert seen == sorted(seen)


def test_replicas_that_start_at_once_make_the_tables_once(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that each migration is applied once, and that a later start changes nothing."""
    versioned, together = postgres_migrations._version, threading.Barrier(2)

    def versioned_together(connection: psycopg.Connection[object], name: str) -> int:
        version = versioned(connection, name)
        # Two that get here together would both make the tables.
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(0.5)
        return version

    monkeypatch.setattr(postgres_migrations, "_version", versioned_together)
    with ThreadPoolExecutor(4) as pool:
        for store in pool.map(lambda _: PostgresStore.open(database), range(4)):
            store.close()
    before = content_of(database)
    with opened(database):
        assert content_of(database) == before
    with connected(database) as connection:
        assert connection.execute("SELECT version, name FROM migrations").fetchall() == [
            (1, "0001_events.sql"),
            (2, "0002_item_content.sql"),
        ]


def test_a_database_of_the_release_before_is_brought_to_this_one(database: str) -> None:
    """Proves that its hidden items stay, and that a replica of the release before goes on writing meanwhile."""
    PostgresStore.open(database).close()
    with connected(database) as connection:
        connection.execute("ALTER TABLE items DROP COLUMN content")
        connection.execute("DELETE FROM migrations WHERE version = 2")
        connection.execute("INSERT INTO items VALUES ('lamp', true, NULL, NULL, 1)")
        connection.execute("UPDATE state SET position = 1")
    with opened(database) as store:
        with connected(database) as connection:
            former = "item_id, hidden, available_from, available_until, position"
            connection.execute(f"INSERT INTO items ({former}) VALUES ('rug', true, NULL, NULL, 2)")  # noqa: S608
        assert [(item.item_id, item.content) for item in store.catalog.items("", 9).items] == [
            ("lamp", None),
            ("rug", None),
        ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            "UPDATE shortlist_live.migrations SET version = version + 97",
            "has schema 99, and this release knows 2; use the rel",
        ),
        ("DROP TABLE shortlist_live.migrations", "is another program's; name another database"),
        ("ALTER TABLE shortlist_live.migrations RENAME version TO id", "is another program's; name another database"),
        ("DELETE FROM shortlist_live.migrations", "is another program's; name another database"),
    ],
)
def test_a_database_that_cannot_be_trusted_is_refused(database: str, change: str, reason: str) -> None:
    """Proves that the message says what to do, and that nothing changes."""
    PostgresStore.open(database).close()
    with connected(database) as connection:
        connection.execute(change)
    with pytest.raises(StoreError, match=reason):
        PostgresStore.open(database)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://live:sesame@/nowhere?host={folder}",
        "postgresql://live:sesame@/postgres?host=/nowhere",
        "postgresql://live:sesame@127.0.0.1:1/postgres",
        "postgresql://live:sesame/sesame@host/postgres",
        "postgresql://live:sesame@sesame@host/postgres",
        "postgresql://live:sesame@host/postgres?sesame",
        "postgresql://live:sesame%@host/postgres",
        "postgres://live@sesame:sesame@host/postgres",
    ],
)
def test_no_message_has_the_password(postgres: PostgresServer, url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Proves it for databases that cannot be reached, and for URLs that libpq would quote."""
    with pytest.raises(StoreError) as raised:
        open_store(url.format(folder=postgres.data.parent))
    assert "sesame" not in f"{raised.value}{caplog.text}"


def test_a_user_who_may_not_make_tables_learns_what_to_do(database: str) -> None:
    """Proves that the schema may be made by somebody else."""
    with connected(database) as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'pass-of-the-testbed'")
    try:
        guest = database.replace("//live:", "//guest:")
        with pytest.raises(StoreError, match="create the schema shortlist_live in it, owned by the user of --store"):
            PostgresStore.open(guest)
        with connected(database) as connection:
            connection.execute("CREATE SCHEMA shortlist_live AUTHORIZATION guest")
        with opened(guest) as store:
            assert store.record([_VIEW]).outcomes == [Outcome.RECORDED]
    finally:
        with connected(database) as connection:
            connection.execute("DROP OWNED BY guest CASCADE")
            connection.execute("DROP ROLE guest")


def test_a_database_that_is_killed_loses_no_acknowledged_event(postgres: PostgresServer, database: str) -> None:
    """Proves that calls are UNAVAILABLE meanwhile, with the time to try again, and that recording goes on by itself."""
    errors: list[Exception] = []
    with live_address(database) as address, grpc.insecure_channel(address) as channel:
        live, moment = EventServiceStub(channel), int(time.time()) - 1000

        def record(number: int) -> None:
            at = Timestamp(seconds=moment + number)
            event = pb.Event(event_id=str(number), user_id="ann", item_id=str(number), time=at)
            while True:
                try:
                    live.RecordEvents(pb.RecordEventsRequest(events=[event]), timeout=10)
                except grpc.RpcError as error:
                    errors.append(read_error(error))
                    time.sleep(0.05)
                else:
                    return

        def record_all(numbers: range) -> None:
            for number in numbers:
                record(number)

        record_all(range(20))
        with ThreadPoolExecutor(1) as pool:
            recording = pool.submit(record_all, range(20, 40))
            postgres.kill()
            while not errors:
                time.sleep(0.01)
            with pytest.raises(grpc.RpcError) as raised:
                live.GetHistories(pb.GetHistoriesRequest(user_ids=["ann"], limit=1), timeout=10)
            errors.append(read_error(raised.value))
            postgres.start()
            recording.result(30)
        found = live.GetHistories(pb.GetHistoriesRequest(user_ids=["ann"], limit=100)).histories[0]
    assert [item.item_id for item in found.items] == [str(number) for number in range(40)]
    assert [error for error in errors if not (isinstance(error, Unavailable) and error.retry_seconds > 0)] == []


def test_a_database_that_keeps_others_waiting_is_unavailable(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that a replica which hangs in a commit harms nobody for long, and that histories are given meanwhile."""
    session = {**postgres_url._SESSION, "lock_timeout": "100ms"}
    monkeypatch.setattr(postgres_url, "_SESSION", session)
    with opened(database) as store, connected(database) as other:
        before = store.record([view(1)]).position
        with other.transaction():
            other.execute("UPDATE state SET position = position + 1")
            for change in (lambda: store.record([view(2, "bob")]), lambda: store.forget("ann")):
                with pytest.raises(Unavailable) as raised:
                    change()
                assert raised.value.retry_seconds > 0
            found = store.histories(["ann", "bob"], 10, None)
            assert (found.position, [len(one) for one in found.histories]) == (before, [1, 0])
        assert store.record([view(2, "bob")]).outcomes == [Outcome.RECORDED]


def test_a_replica_that_hangs_in_a_transaction_is_cut_off(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that the others write again, and that nothing of it is left."""
    session = {**postgres_url._SESSION, "idle_in_transaction_session_timeout": "100ms"}
    monkeypatch.setattr(postgres_url, "_SESSION", session)
    with opened(database) as frozen, opened(database) as store:

        def hang() -> None:
            with frozen._database.transaction() as connection:
                frozen._record(connection, [view(1)])
                assert store.record([view(2)]).outcomes == [Outcome.RECORDED]

        with pytest.raises(Unavailable):
            hang()
        assert [one.item_id for one in store.histories(["ann"], 10, None).histories[0]] == ["i2"]
        assert frozen.record([view(1)]).outcomes == [Outcome.RECORDED]


def test_no_row_has_a_byte_of_a_forgotten_user(database: str) -> None:
    """Proves it for users whom a replica forgets, and for those whose events are all trimmed or never came."""
    back = replace(view(1, "secret-person-2"), event_id="back", item_id="", event="", retracts="never-came")
    with opened(database) as store, opened(database) as other:
        store.record([*(view(number, "secret-person-1") for number in range(1500)), back, view(10**12)])
        other.record([view(10**12, "secret-person-3"), replace(_VIEW, event_id="conflict", user_id="ann")])
        other.record([replace(_VIEW, event_id="conflict", user_id="secret-person-4")])
        assert b"secret-person" in content_of(database)
        assert other.forget("secret-person-3").deleted == 1
        assert store.trim(10**10, 10) == 1502
        assert [len(one) for one in other.histories(["ann"], 10, None).histories] == [1]
    assert b"secret-person" not in content_of(database)


def test_a_history_is_one_range_of_an_index(database: str) -> None:
    """Proves that PostgreSQL neither sorts the events nor looks at those of other users."""
    fill = """
    INSERT INTO events SELECT number % 100, number, number::text, 'item', 'view', NULL, '', '', '', number
    FROM generate_series(1, 20000) AS number
    """
    with opened(database) as store, connected(database) as connection:
        store.record([view(1)])
        connection.execute(fill)
        connection.execute("VACUUM (ANALYZE) events, retracted, users")
        asked: dict[str, object] = {"hashes": store._users.hashes(["ann", "bob"]), "after": 0, "after_position": 0}
        asked["limit"] = 10
        plan = "\n".join(str(line) for (line,) in connection.execute(f"EXPLAIN {_HISTORIES}", asked))
    assert "Index Only Scan Backward using events_pkey on events e" in plan
    assert "Seq Scan on events" not in plan


def test_a_server_that_does_not_write_to_its_disk_is_told_of(database: str, caplog: pytest.LogCaptureFixture) -> None:
    """Proves that the log says what may be lost."""
    PostgresStore.open(database).close()
    assert "fsync = off: a power cut loses acknowledged events" in caplog.text


def test_an_answer_waits_for_the_disk_whatever_the_database_is_set_to(database: str) -> None:
    """Proves it for the setting that answers before the log is written."""
    with connected(database) as connection:
        connection.execute("ALTER ROLE live SET synchronous_commit = off")
    try:
        with opened(database) as store, store._database.reading() as reader:
            assert reader.execute("SHOW synchronous_commit").fetchone() == ("on",)
    finally:
        with connected(database) as connection:
            connection.execute("ALTER ROLE live RESET synchronous_commit")
