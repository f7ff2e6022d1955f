"""A store of events in a file of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from live_service.store.event_store import EventStore
from live_service.store.sqlite_store import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    """An empty store."""
    opened = SqliteStore.open(tmp_path / "events.sqlite")
    yield opened
    opened.close()
