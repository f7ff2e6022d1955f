"""Both stores of events, each empty."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from live_service.store.event_store import EventStore
from live_service.store.opening import open_store


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventStore]:
    """An empty store."""
    is_file = request.param == "sqlite"
    opened = open_store(str(tmp_path / "events.sqlite") if is_file else request.getfixturevalue("database"))
    yield opened
    opened.close()
