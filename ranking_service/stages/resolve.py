"""Resolve: from the caller's ids to rows of the bundle."""

import numpy as np
from numpy.typing import NDArray

from ranking_service.options import OptionsReader, RankingOptions
from ranking_service.queries import RankQuery, RecommendQuery
from ranking_service.request import Request
from shortlist.bundle.bundle import Bundle
from shortlist.inference.live_items import LiveItems
from shortlist.inference.users import Unknown, excluded_rows, known_rows, resolve_user
from shortlist.limits import MAX_LIMIT
from shortlist.live_histories.stage import NOTHING_LIVE, Live


class Resolver:
    """Resolves queries in one bundle."""

    def __init__(self, bundle: Bundle, live_items: LiveItems | None = None) -> None:
        self._bundle, self._live_items = bundle, live_items
        self._options = OptionsReader(bundle.manifest)

    def options(self, query: RecommendQuery | RankQuery) -> RankingOptions:
        """The options of a query.

        Raises:
            InvalidRequest: the bundle has no such objective, other bounds, or another kind of context value.
        """
        return self._options.read(query.objective_weights, query.context)

    def recommend(self, query: RecommendQuery, options: RankingOptions, live: Live = NOTHING_LIVE) -> Request:
        """The query in rows, with the user's live history."""
        # First, since items may come meanwhile.
        live_count = len(self._live_items) if self._live_items else 0
        user = resolve_user(self._bundle, live.of(query.user), self._live_items)
        excluded, unknown = excluded_rows(
            self._bundle, user, query.exclude, keep_seen=query.keep_seen, live_items=self._live_items
        )
        count = query.candidate_count or self._bundle.manifest.candidate_count
        return Request(
            query=query,
            user=user,
            excluded=excluded,
            limit=query.limit,
            candidate_count=min(max(count, query.limit), MAX_LIMIT),
            options=options,
            unknown=user.unknown + Unknown(items=unknown, context=options.unknown_context),
            deadline=query.deadline,
            live_count=live_count,
            live=live,
            timeline=query.timeline,
        )

    def rank(self, query: RankQuery, live: Live = NOTHING_LIVE) -> tuple[Request, NDArray[np.int64]]:
        """The query in rows, with the user's live history; and the distinct rows ``[n]`` of the candidates, in order.

        Raises:
            InvalidRequest: as for :meth:`options`.
        """
        options = self.options(query)
        user = resolve_user(self._bundle, live.of(query.user))
        known, unknown = known_rows(self._bundle, query.item_ids, self._live_items)
        rows = np.array(list(dict.fromkeys(known.tolist())), dtype=np.int64)
        request = Request(
            query=query,
            user=user,
            excluded=np.zeros(0, dtype=np.int64),
            limit=query.limit,
            candidate_count=len(rows),
            options=options,
            unknown=user.unknown + Unknown(items=unknown, context=options.unknown_context),
            deadline=query.deadline,
            live=live,
        )
        return request, rows
