"""Similar items and baskets, over a bundle whose tables and vectors are planted."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest

from ranking_service.answer import Answer
from ranking_service.queries import SimilarQuery
from ranking_service.recommender import Recommender
from ranking_service.retrieval import RetrievalClient
from retrieval_service.servicer import RetrievalServicer
from shortlist.bundle import Bundle, ItemItemTables
from shortlist.bundle.item_item_table import ItemItemTable
from shortlist.degraded import Degraded
from shortlist.errors import InvalidRequest
from shortlist.inference.candidates import Source
from shortlist.limits import MAX_HISTORY
from shortlist.live.v1.catalog_service_pb2 import Availability, Item, WatchChangesResponse
from shortlist.live_histories.client import LiveClient
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.security.settings import ClientSecurity
from tests.support.in_process import RowsServicer, retrieval_client, retrieval_servicer
from tests.support.small_bundle import DIMENSION, ITEMS, publish_small_bundle

Similar = Callable[..., Answer]
Pairs = Mapping[str, Mapping[str, tuple[float, float]]]
_ROWS = {chr(ord("a") + row): row for row in range(ITEMS)}
# "a" is followed by "b" above all, and bought after it is "c" alone. "d" is its nearest by the vectors, which have the
# direction of row modulo 3.
_COOCCURRENCE: Pairs = {
    "a": {"b": (0.4, 0.0), "e": (0.2, 0.0), "c": (0.1, 0.1)},
    "d": {"h": (0.3, 0.0), "e": (0.25, 0.0)},
}
_SLIM: Pairs = {
    "a": {"b": (0.3, 0.0), "e": (0.2, 0.0), "c": (0.1, 0.2), "h": (-0.5, -0.5)},
    "d": {"h": (0.3, 0.0), "e": (0.25, 0.0)},
}


def _table(pairs: Pairs) -> ItemItemTable:
    counts = [len(pairs.get(item, {})) for item in _ROWS]
    flat = [(other, weights) for item in _ROWS for other, weights in pairs.get(item, {}).items()]
    return ItemItemTable(
        offsets=np.cumsum([0, *counts], dtype=np.int64),
        rows=np.array([_ROWS[other] for other, _ in flat], dtype=np.int32),
        weights=np.array([weights for _, weights in flat], dtype=np.float32).reshape(-1, 2),
    )


def _planted(bundle: Bundle) -> Bundle:
    tables = ItemItemTables(cooccurrence=_table(_COOCCURRENCE), slim=_table(_SLIM))
    return replace(
        bundle,
        items=replace(bundle.items, item_item=tables),
        manifest=replace(bundle.manifest, liked_events=("buy",)),
    )


@pytest.fixture(scope="module")
def planted(small_bundle: Bundle) -> Bundle:
    """The bundle made by hand, with tables."""
    return _planted(small_bundle)


def _similar_by(bundle: Bundle, client: RetrievalClient, live: LiveClient | None = None) -> Similar:
    recommender = Recommender(bundle, client, live)

    def call(items: str, **fields: object) -> Answer:
        query = {"limit": 3, "deadline": time.monotonic() + 30, **fields}
        return recommender.similar(SimilarQuery(item_ids=tuple(items), **query))  # type: ignore[arg-type]

    return call


@pytest.fixture(scope="module")
def similar(planted: Bundle, retrieval: RetrievalServicer) -> Iterator[Similar]:
    """Asks for three items unless told otherwise."""
    with retrieval_client(retrieval) as client:
        yield _similar_by(planted, client)


def _ids(answer: Answer) -> str:
    return "".join(chr(ord("a") + row) for row in answer.ranked.items.rows)


def test_items_that_follow_and_are_near_come_first(similar: Similar, planted: Bundle) -> None:
    """Proves that both tables and the vectors count, and that the score is the sum of 1 / (10 + rank) of the three."""
    answer = similar("a", limit=4)
    vectors = planted.items.vectors
    near = [row for row in np.argsort(-(vectors @ vectors[0]), kind="stable") if row != 0]
    rank_of_b = near.index(_ROWS["b"]) + 1
    assert _ids(answer)[0] == "b"
    np.testing.assert_allclose(answer.ranked.scores[0], 2 / 11 + 1 / (10 + rank_of_b), rtol=1e-6)
    # The nearest of all is in no table.
    assert _ids(answer)[1:] == "ecj"
    assert answer.degraded is None
    assert answer.ranked.items.sources.tolist() == [Source.MODEL] * 4
    assert not answer.ranked.is_scored.any()
    unit = vectors[0] / np.linalg.norm(vectors[0])
    np.testing.assert_allclose(answer.ranked.items.scores, vectors[answer.ranked.items.rows] @ unit, rtol=1e-6)


def test_hidden_items_of_the_tables_are_left_out(planted: Bundle, retrieval: RetrievalServicer) -> None:
    """Proves it for neighbours in both tables, and for a basket that is hidden itself."""
    live = LiveClient("127.0.0.1:1", ClientSecurity())
    listed = [Item(item_id=item, availability=Availability(hidden=True)) for item in "abc"]
    live.follower.catalog.take(WatchChangesResponse(items=listed, position=1, is_current=True))
    with retrieval_client(retrieval) as client:
        similar = _similar_by(planted, client, live)
        answer = similar("a", limit=4)
        assert _ids(answer)[:2] == "ej"
        assert not set(_ids(answer)) & set("abc")
    live.close()


def test_an_event_ranks_by_the_items_that_are_liked_after(similar: Similar) -> None:
    """Proves that "c", which is bought, comes before "b", which is only seen."""
    assert _ids(similar("a", limit=1)) == "b"
    assert _ids(similar("a", limit=1, event="buy")) == "c"


@pytest.mark.parametrize("event", ["view", "rent"])
def test_an_event_that_is_not_liked_is_refused(similar: Similar, event: str) -> None:
    """Proves that the error names the field and the events that there are."""
    with pytest.raises(InvalidRequest) as caught:
        similar("a", event=event)
    [violation] = caught.value.violations
    assert violation.field == "event"
    assert violation.description == "is no liked event of this bundle; it has buy"


def test_a_bundle_without_liked_events_says_so(small_bundle: Bundle, retrieval: RetrievalServicer) -> None:
    """Proves it of a bundle of an earlier release too, whose manifest does not have the field."""
    with retrieval_client(retrieval) as client, pytest.raises(InvalidRequest, match="it has none"):
        _similar_by(small_bundle, client)("a", event="buy")


def test_a_basket_adds_up_what_follows_its_items(similar: Similar) -> None:
    """Proves that "e" is second after each of them and first after both, and that a repeated id counts once."""
    answer = similar("ad", limit=1)
    assert [_ids(one) for one in (similar("a", limit=1), similar("d", limit=1), answer)] == ["b", "h", "e"]
    twice = similar("addaa", limit=1)
    assert (_ids(twice), twice.ranked.scores.tolist()) == ("e", answer.ranked.scores.tolist())


def test_neither_the_given_items_nor_excluded_ones_are_found(similar: Similar) -> None:
    """Proves that all others are, once each, and that unknown ids of both lists are counted."""
    answer = similar("abz", limit=20, exclude=("e", "zz"))
    assert sorted(_ids(answer)) == [*"cdfghijkl"]
    assert (answer.unknown.items, answer.degraded) == (2, None)


def test_items_that_nothing_is_known_of_get_popular_ones(similar: Similar) -> None:
    """Proves that they are marked as fallbacks, with score 0, and are not degraded."""
    answer = similar("zy", exclude=("k",))
    assert (_ids(answer), answer.unknown.items, answer.degraded) == ("lji", 2, None)
    assert answer.ranked.items.sources.tolist() == [Source.FALLBACK] * 3
    assert not answer.ranked.scores.any()


def test_without_vectors_the_tables_answer_and_popular_items_fill(tmp_path: Path) -> None:
    """Proves it of a bundle whose vectors are zero, which has a ranker alone."""
    directory = publish_small_bundle(tmp_path, vectors={row: [0.0] * DIMENSION for row in range(ITEMS)})
    with retrieval_client(retrieval_servicer(tmp_path)) as client:
        answer = _similar_by(_planted(Bundle.open(directory)), client)("a", limit=5)
    assert (_ids(answer), answer.degraded) == ("beclk", None)
    assert answer.ranked.items.sources.tolist() == [Source.MODEL] * 3 + [Source.FALLBACK] * 2


def test_no_list_holds_an_item_that_is_not_listed(tmp_path: Path) -> None:
    """Proves that "b", which follows "a" above all, is in no answer once it is not available."""
    directory = publish_small_bundle(tmp_path, listed=[row for row in range(ITEMS) if row != _ROWS["b"]])
    with retrieval_client(retrieval_servicer(tmp_path)) as client:
        answer = _similar_by(_planted(Bundle.open(directory)), client)("a", limit=20)
    assert _ids(answer)[0] == "e"
    assert sorted(_ids(answer)) == [*"cdefghijkl"]


def test_without_retrieval_the_tables_answer_and_the_reason_is_named(planted: Bundle) -> None:
    """Proves that the order of the tables stays, popular items fill the list, and the answer is marked as degraded."""
    client = RetrievalClient("dns:///127.0.0.1:1", ClientSecurity())
    try:
        answer = _similar_by(planted, client)("a", limit=5)
    finally:
        client.close()
    assert (_ids(answer), answer.degraded) == ("beclk", Degraded.RETRIEVAL_UNAVAILABLE)
    assert answer.ranked.items.sources.tolist() == [Source.MODEL] * 3 + [Source.FALLBACK] * 2


class OfEarlierRelease(RowsServicer):
    """Does not know the query vector, and so sees a query of nobody."""

    def RetrieveRows(  # noqa: N802
        self, request: pb.RetrieveRowsRequest, context: grpc.ServicerContext
    ) -> pb.RetrieveRowsResponse:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "queries[0].history_rows is empty")
        raise AssertionError


def test_an_earlier_release_of_retrieval_degrades_the_answer(planted: Bundle) -> None:
    """Proves that the order of an upgrade does not end calls with errors."""
    with retrieval_client(OfEarlierRelease()) as client:
        answer = _similar_by(planted, client)("a", limit=3)
    assert (_ids(answer), answer.degraded) == ("bec", Degraded.RETRIEVAL_UNAVAILABLE)


def test_the_largest_basket_is_answered(similar: Similar) -> None:
    """Proves that a basket of as many ids as a call may have counts each once."""
    assert _ids(similar("a" * MAX_HISTORY, limit=1)) == "b"
