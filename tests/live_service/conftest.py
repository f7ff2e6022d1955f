"""Both stores of events, each empty, and a running live service."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from live_service.store.catalog_store import LiveStore
from live_service.store.opening import open_store
from shortlist.live.v1.catalog_service_pb2_grpc import CatalogServiceStub
from tests.support.in_process import live_address


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LiveStore]:
    """An empty store."""
    is_file = request.param == "sqlite"
    opened = open_store(str(tmp_path / "events.sqlite") if is_file else request.getfixturevalue("database"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CatalogServiceStub]:
    """The catalogue of a live service."""
    with (
        live_address(tmp_path_factory.mktemp("live") / "events.sqlite") as address,
        grpc.insecure_channel(address) as channel,
    ):
        yield CatalogServiceStub(channel)
