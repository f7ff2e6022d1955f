"""Similar: the items that go best with others, from the bundle's item-item tables and the index."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranking_service.answer import Answer, Ranked
from ranking_service.queries import SimilarQuery
from ranking_service.stages.retrieve import RetrieveStage
from shortlist.bundle.bundle import Bundle
from shortlist.bundle.history import EMPTY_HISTORY
from shortlist.degraded import Degraded
from shortlist.inference.candidates import Candidates
from shortlist.inference.hidden_rows import HiddenRows
from shortlist.inference.live_items import LiveItems
from shortlist.inference.popular import popular_rows
from shortlist.inference.retrieval import RetrievalQuery
from shortlist.inference.rows import union_of
from shortlist.inference.similar import mean_direction, similar_items
from shortlist.inference.users import Unknown, known_rows
from shortlist.limits import MAX_LIMIT
from shortlist.wire.request_check import RequestCheck

# The index gives at least as many candidates, so that the first items hardly depend on the limit.
_NEAREST = 200
# A status has little room.
_MOST_LISTED_CHARS = 100


@dataclass(frozen=True, kw_only=True)
class _Basket:
    """The given items: distinct ``rows`` ``[n]``, and the rows, ascending, that may not be in the answer.

    ``live_count`` is how many live items were known before.
    """

    rows: NDArray[np.int64]
    excluded: NDArray[np.int64]
    live_count: int


class SimilarStage:
    """Answers calls for similar items from one bundle and its live items, without the ``hidden`` ones."""

    def __init__(
        self,
        bundle: Bundle,
        retriever: RetrieveStage,
        hidden: HiddenRows | None = None,
        live_items: LiveItems | None = None,
    ) -> None:
        self._bundle, self._retriever, self._hidden, self._live_items = bundle, retriever, hidden, live_items
        self._items = bundle.items if live_items is None else live_items

    def answer(self, query: SimilarQuery) -> Answer:
        """Resolve → retrieve the nearest → fuse with the tables → fill with popular items.

        Raises:
            InvalidRequest: the event is none of the bundle's liked events.
        """
        basket, unknown = self._resolve(query)
        direction = mean_direction(self._items, basket.rows)
        nearest, degraded = self._nearest(query, basket, direction)
        found = similar_items(
            self._bundle.items,
            basket.rows,
            nearest,
            direction,
            excluded=basket.excluded,
            liked=bool(query.event),
            limit=query.limit,
            hidden=self._hidden,
            live=self._live_items,
        )
        return Answer(ranked=self._filled(query, basket, found.items, found.scores), unknown=unknown, degraded=degraded)

    def _resolve(self, query: SimilarQuery) -> tuple[_Basket, Unknown]:
        self._check_event(query.event)
        # First, since items may come meanwhile.
        live_count = len(self._live_items) if self._live_items else 0
        rows, unknown = known_rows(self._bundle, query.item_ids, self._live_items)
        excluded, unknown_excluded = known_rows(self._bundle, query.exclude, self._live_items)
        basket = _Basket(rows=union_of(rows), excluded=union_of(rows, excluded), live_count=live_count)
        return basket, Unknown(items=unknown + unknown_excluded)

    def _check_event(self, event: str) -> None:
        liked = self._bundle.manifest.liked_events
        check = RequestCheck()
        names = f"it has {', '.join(liked)[:_MOST_LISTED_CHARS]}" if liked else "it has none"
        check.require(not event or event in liked, "event", f"is no liked event of this bundle; {names}")
        check.done()

    def _nearest(
        self, query: SimilarQuery, basket: _Basket, direction: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.int64], Degraded | None]:
        """The rows of the index that are nearest to the basket, and why there are none; None when they are complete."""
        if direction is None:
            return np.zeros(0, dtype=np.int64), None
        found = self._retriever.nearest(
            query,
            RetrievalQuery(
                history=EMPTY_HISTORY,
                excluded=basket.excluded,
                limit=min(max(query.limit, _NEAREST), MAX_LIMIT),
                vector=direction,
                live_count=basket.live_count,
            ),
        )
        candidates = found.retrieved.candidates
        return candidates.rows[candidates.is_from_model], found.degraded

    def _filled(self, query: SimilarQuery, basket: _Basket, items: Candidates, scores: NDArray[np.float32]) -> Ranked:
        """The items, and popular ones up to the limit."""
        objectives = len(self._bundle.manifest.objectives)
        ranked = Ranked.unscored(items, objectives, scores)
        missing = query.limit - len(items)
        if not missing:
            return ranked
        popular = popular_rows(self._bundle.items, missing, basket.excluded, items.rows, hidden=self._hidden)
        return ranked.then(Ranked.unscored(Candidates.from_fallback(popular), objectives))
