"""Settings of every test run: threads, markers, and the report of skipped tests."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import logging
import os
import signal
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from shortlist.bundle import Bundle
    from testbed.postgres import PostgresServer

# Two workers share two cores. Set before numpy, torch or FAISS are imported; processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A run may skip tests for these reasons only. With CI=true, any other skip fails the run.
EXPECTED_SKIPS = (
    "promtool is missing",
    "Chromium is missing",
    "mounting a file system is not permitted",
)


_PROJECT = Path(__file__).parents[1] / "pyproject.toml"
_DEMO = _PROJECT.with_name("build") / "demo"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Moves tests that are marked ``first`` to the front."""
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Runs a test that is marked ``alone`` when no other worker runs one.

    Every test holds the room, one that is alone exclusively. Who enters holds the door, so that no test begins while
    one that wants the room for itself waits.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    alone = item.get_closest_marker("alone") is not None
    with Path(__file__).open() as door, _PROJECT.open() as room:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        if not alone:
            fcntl.flock(door, fcntl.LOCK_UN)
        try:
            return (yield)
        finally:
            # Processes that the test has forked may still hold the files.
            fcntl.flock(room, fcntl.LOCK_UN)
            fcntl.flock(door, fcntl.LOCK_UN)


@pytest.fixture(scope="session")
def movielens() -> Path:
    """The folder of MovieLens-100K, in RecBole's layout; the demo and every test run share one download."""
    from demo.movielens import get_movielens  # imports polars, which most tests do not need

    _DEMO.mkdir(parents=True, exist_ok=True)
    with FileLock(_DEMO / "movielens.lock"):
        return get_movielens(_DEMO / "movielens")


@pytest.fixture(scope="session")
def small_bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of bundles with one made by hand."""
    from tests.support.small_bundle import publish_small_bundle  # imports numpy and FAISS

    root = tmp_path_factory.mktemp("small") / "bundles"
    publish_small_bundle(root)
    return root


@pytest.fixture(scope="session")
def small_bundle(small_bundles: Path) -> Bundle:
    """The bundle made by hand, opened."""
    from shortlist.bundle import Bundle

    return Bundle.open(small_bundles / (small_bundles / "CURRENT").read_text().strip())


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this worker's own. It writes nothing to the disk, unless a test says so."""
    from testbed.postgres import CannotStart, postgres_server

    with contextlib.ExitStack() as running:
        try:
            server = running.enter_context(postgres_server(fsync="off"))
        except CannotStart as error:
            pytest.skip(f"PostgreSQL cannot start: {error}")
        yield server


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a database without tables."""
    import psycopg

    yield postgres.url
    with psycopg.connect(postgres.url) as connection:
        connection.execute("DROP SCHEMA IF EXISTS shortlist_live CASCADE")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Lets processes that the test starts receive SIGINT, also where the run itself ignores it (``nohup``)."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def _skips(config: pytest.Config) -> Counter[str]:
    """Reason of a skip → number of tests."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return Counter()
    reasons = [report.longrepr[2] for report in reporter.stats.get("skipped", [])]
    return Counter(reason.removeprefix("Skipped: ") for reason in reasons)


def _unexpected(config: pytest.Config) -> list[str]:
    if os.environ.get("CI") != "true":
        return []
    return [reason for reason in _skips(config) if not reason.startswith(EXPECTED_SKIPS)]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails a CI run that skipped a test for a reason not listed above."""
    if session.exitstatus == pytest.ExitCode.OK and _unexpected(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Lists the skipped tests by reason."""
    unexpected = _unexpected(config)
    for reason, count in sorted(_skips(config).items()):
        note = "  NOT EXPECTED IN CI" if reason in unexpected else ""
        terminalreporter.write_line(f"skipped {count}: {reason}{note}")


@pytest.fixture
def uncollected(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Turns the garbage collector off, so that only reference counts free an object."""
    # The test runner keeps each record that is logged, with its traceback.
    caplog.set_level(logging.CRITICAL)
    gc.collect()
    gc.disable()
    yield
    gc.enable()
