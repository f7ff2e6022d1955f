"""The best items by the fused score."""

import numpy as np

from ranking_service.options import OptionsReader
from ranking_service.queries import RankQuery
from ranking_service.request import Request
from ranking_service.stages.score import Scored
from ranking_service.stages.select import select
from shortlist.bundle import Bundle
from shortlist.inference.candidates import Candidates, Source
from shortlist.inference.users import Unknown, UserQuery, resolve_user


def _request(bundle: Bundle, limit: int) -> Request:
    return Request(
        query=RankQuery(user=UserQuery(), item_ids=(), limit=limit),
        user=resolve_user(bundle, UserQuery()),
        excluded=np.zeros(0, dtype=np.int64),
        limit=limit,
        candidate_count=limit,
        options=OptionsReader(bundle.manifest).default,
        unknown=Unknown(),
        deadline=0.0,
    )


_ITEMS = Candidates.from_model(np.array([4, 5, 6]), np.array([0.3, 0.2, 0.1], dtype=np.float32))
_POPULAR = Candidates.from_fallback(np.array([8, 7]))


def test_scored_items_come_first_and_every_item_keeps_its_columns(small_bundle: Bundle) -> None:
    """Proves that scores, predictions, retrieval scores and sources stay beside their item when the order changes."""
    logits = np.array([[-1, 10], [2, 20], [0, 30]], dtype=np.float32)
    ranked = select(_request(small_bundle, 4), Scored(items=_ITEMS, logits=logits, others=_POPULAR))
    assert ranked.items.rows.tolist() == [5, 6, 4, 8]
    assert ranked.items.sources.tolist() == [Source.MODEL] * 3 + [Source.FALLBACK]
    np.testing.assert_allclose(ranked.items.scores, [0.2, 0.1, 0.3, 0])
    likes = 1 / (1 + np.exp([-2.0, 0.0, 1.0]))
    np.testing.assert_allclose(ranked.scores, [*likes, 0], rtol=1e-6)
    np.testing.assert_allclose(ranked.predictions[:3], np.stack([likes, [20, 30, 10]], axis=1), rtol=1e-6)
    assert ranked.is_scored.tolist() == [True, True, True, False]


def test_the_limit_cuts_scored_items_before_others(small_bundle: Bundle) -> None:
    """Proves that a popular item takes no scored item's place."""
    logits = np.zeros((3, 2), dtype=np.float32)
    ranked = select(_request(small_bundle, 2), Scored(items=_ITEMS, logits=logits, others=_POPULAR))
    assert ranked.items.rows.tolist() == [4, 5]


def test_a_list_without_logits_keeps_its_order_whatever_its_sources(small_bundle: Bundle) -> None:
    """Proves that the source of an item does not depend on its position: a fallback may stand first."""
    ranked = select(_request(small_bundle, 4), Scored(items=_POPULAR.then(_ITEMS)))
    assert ranked.items.rows.tolist() == [8, 7, 4, 5]
    assert ranked.items.sources.tolist() == [Source.FALLBACK] * 2 + [Source.MODEL] * 2
    np.testing.assert_allclose(ranked.scores, [0, 0, 0.3, 0.2])
    assert not ranked.is_scored.any()
