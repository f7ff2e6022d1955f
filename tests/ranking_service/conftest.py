"""A recommender over the bundle made by hand, with a retrieval service on a real socket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ranking_service.recommender import Recommender
from retrieval_service.servicer import RetrievalServicer
from shortlist.bundle import Bundle
from tests.support.in_process import retrieval_client, retrieval_servicer


@pytest.fixture(scope="session")
def retrieval(small_bundles: Path) -> RetrievalServicer:
    """The retrieval service's own servicer."""
    return retrieval_servicer(small_bundles)


@pytest.fixture(scope="module")
def recommender(small_bundle: Bundle, retrieval: RetrievalServicer) -> Iterator[Recommender]:
    """Both stages."""
    with retrieval_client(retrieval) as client:
        yield Recommender(small_bundle, client)
