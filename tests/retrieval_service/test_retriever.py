"""Queries through the retriever, over a bundle whose every answer is known."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from retrieval_service.queries import IdQuery
from retrieval_service.retriever import Retriever
from shortlist.bundle import Bundle
from shortlist.bundle.history import EMPTY_HISTORY
from shortlist.inference.candidates import Source
from shortlist.inference.retrieval import RetrievalQuery, Retrieved
from shortlist.inference.users import IdHistory, UserQuery
from tests.support.small_bundle import encoder_of_histories, publish_small_bundle

Retrieve = Callable[..., tuple[str, Retrieved, int]]
_FAN = UserQuery(user_id="fan")


@pytest.fixture(scope="module")
def retriever(small_bundle: Bundle) -> Retriever:
    """The retriever of the bundle made by hand."""
    return Retriever(small_bundle)


@pytest.fixture
def retrieve(retriever: Retriever) -> Retrieve:
    """The ids found for a query, one letter each, the whole result, and the count of unknown ids."""

    def call(**fields: object) -> tuple[str, Retrieved, int]:
        query = IdQuery(**{"user": UserQuery(), "limit": 3, "deadline": time.monotonic() + 30, **fields})  # type: ignore[arg-type]
        answer = retriever.retrieve(query)
        found, unknown = answer.retrieved, answer.unknown
        return "".join(retriever.bundle.items.ids_of(found.candidates.rows)), found, unknown.items

    return call


def test_the_nearest_unseen_items_come_first(retrieve: Retrieve, small_bundle: Bundle) -> None:
    """Proves that the scores are inner products with the vector that is returned, and all items the models'."""
    ids, found, _ = retrieve(user=_FAN)
    assert ids == "jgl"
    assert found.candidates.sources.tolist() == [Source.MODEL] * 3
    assert found.vector is not None
    np.testing.assert_allclose(found.vector, [2.03, 0.003, 0.003, 0.003], rtol=1e-6)
    expected = small_bundle.items.vectors[found.candidates.rows] @ found.vector
    np.testing.assert_allclose(found.candidates.scores, expected, rtol=1e-6)


def test_however_many_items_are_excluded_the_limit_is_filled(retrieve: Retrieve) -> None:
    """Proves that the list is cut after the filter, and that unknown exclusions are counted."""
    ids, _, unknown = retrieve(user=_FAN, exclude=("j", "g", "l", "zz"))
    assert (ids, unknown) == ("kih", 1)
    assert retrieve(user=_FAN, keep_seen=True, limit=4)[0] == "jgda"


def test_no_user_gets_popular_items(retrieve: Retrieve) -> None:
    """Proves that fallbacks have no score, no vector, and their own source."""
    ids, found, _ = retrieve(exclude=("k",))
    assert (ids, found.vector) == ("lji", None)
    assert found.candidates.sources.tolist() == [Source.FALLBACK] * 3
    assert not found.candidates.scores.any()


def test_a_list_that_the_models_cannot_fill_ends_in_popular_items(
    retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that each item keeps its own source, and that no item comes twice."""
    search = retriever._index.search_each
    monkeypatch.setattr(
        retriever._index, "search_each", lambda vectors, counts: [one.first(2) for one in search(vectors, counts)]
    )
    query = RetrievalQuery(
        history=EMPTY_HISTORY, excluded=np.array([10]), limit=4, vector=np.array([1, 0, 0, 0], dtype=np.float32)
    )
    (found,) = retriever.retrieve_rows([query])
    assert found.candidates.rows.tolist() == [9, 6, 11, 8]
    assert found.candidates.sources.tolist() == [Source.MODEL] * 2 + [Source.FALLBACK] * 2
    assert found.candidates.scores[:2].all()
    assert not found.candidates.scores[2:].any()


def test_similar_items_are_near_the_mean_direction_of_a_basket(retrieve: Retrieve) -> None:
    """Proves that the basket itself is left out, that unknown ids are counted, and that none known is no user."""
    ids, _, unknown = retrieve(similar_to=("a", "zz"))
    assert (ids, unknown) == ("jgd", 1)
    assert set(retrieve(similar_to=("a", "b"), limit=6)[0]) == set("jgdkhe")
    ids, found, unknown = retrieve(similar_to=("zz",))
    assert (ids, unknown, found.vector) == ("lkj", 1, None)


def test_queries_of_every_kind_share_a_batch(retriever: Retriever, small_bundle: Bundle) -> None:
    """Proves that a user with features, one without, a vector and nobody get what each gets alone."""
    fan, described = small_bundle.users.row_of("fan"), small_bundle.users.row_of("described")
    assert fan is not None
    assert described is not None
    nothing = np.zeros(0, dtype=np.int64)
    queries = [
        RetrievalQuery(history=small_bundle.users.history_of(fan), excluded=nothing, limit=5),
        RetrievalQuery(
            history=EMPTY_HISTORY, excluded=nothing, limit=2, user_features=small_bundle.users.features[described]
        ),
        RetrievalQuery(history=EMPTY_HISTORY, excluded=nothing, limit=3),
        RetrievalQuery(history=EMPTY_HISTORY, excluded=nothing, limit=4, vector=small_bundle.items.vectors[1]),
    ]
    together = retriever.retrieve_rows(queries)
    alone = [retriever.retrieve_rows([query])[0] for query in queries]
    assert [len(one.candidates) for one in together] == [5, 2, 3, 4]
    for one, other in zip(together, alone, strict=True):
        assert one.candidates.rows.tolist() == other.candidates.rows.tolist()
        np.testing.assert_allclose(one.candidates.scores, other.candidates.scores, rtol=1e-6)


def test_features_that_the_encoder_does_not_read_make_no_user_known(tmp_path: Path) -> None:
    """Proves that a query of nothing else gets popular items and no vector, alone and beside a user with a history."""
    bundle = Bundle.open(publish_small_bundle(tmp_path, encoder=encoder_of_histories()))
    history, nothing = bundle.users.history_of(1), np.zeros(0, dtype=np.int64)
    described = RetrievalQuery(history=EMPTY_HISTORY, excluded=nothing, limit=3, user_features=bundle.users.features[0])
    fan = RetrievalQuery(history=history, excluded=nothing, limit=3)
    popular, nearest = Retriever(bundle).retrieve_rows([described, fan])
    assert (popular.candidates.rows.tolist(), popular.vector) == ([11, 10, 9], None)
    assert popular.candidates.sources.tolist() == [Source.FALLBACK] * 3
    assert nearest.candidates.rows.tolist() == [9, 6, 3]


def test_the_ids_of_a_history_that_are_unknown_are_counted(retrieve: Retrieve) -> None:
    """Proves that they change nothing else."""
    user = UserQuery(history=IdHistory(item_ids=("a", "zz", "d"), values=(math.nan,) * 3, events=("view", "", "buy")))
    ids, _, unknown = retrieve(user=user)
    assert (ids, unknown) == (retrieve(user=_FAN)[0], 1)
