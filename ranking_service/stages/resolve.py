"""Resolve: from the caller's ids to rows of the bundle."""

import numpy as np
from numpy.typing import NDArray

from ranking_service.options import OptionsReader
from ranking_service.queries import RankQuery, RecommendQuery
from ranking_service.request import Request
from shortlist.bundle.bundle import Bundle
from shortlist.inference.users import Unknown, excluded_rows, known_rows, resolve_user
from shortlist.limits import MAX_LIMIT


class Resolver:
    """Resolves queries in one bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._options = OptionsReader(bundle.manifest)

    def recommend(self, query: RecommendQuery) -> Request:
        """The query in rows.

        Raises:
            InvalidRequest: the bundle has no such objective, other bounds, or another kind of context value.
        """
        options = self._options.read(query.objective_weights, query.context)
        user = resolve_user(self._bundle, query.user)
        excluded, unknown = excluded_rows(self._bundle, user, query.exclude, keep_seen=query.keep_seen)
        count = query.candidate_count or self._bundle.manifest.candidate_count
        return Request(
            user=user,
            excluded=excluded,
            limit=query.limit,
            candidate_count=min(max(count, query.limit), MAX_LIMIT),
            options=options,
            unknown=user.unknown + Unknown(items=unknown, context=options.unknown_context),
            deadline=query.deadline,
            timeline=query.timeline,
        )

    def rank(self, query: RankQuery) -> tuple[Request, NDArray[np.int64]]:
        """The query in rows, and the distinct rows ``[n]`` of the caller's candidates, in their order.

        Raises:
            InvalidRequest: as for :meth:`recommend`.
        """
        options = self._options.read(query.objective_weights, query.context)
        user = resolve_user(self._bundle, query.user)
        known, unknown = known_rows(self._bundle, query.item_ids)
        rows = np.array(list(dict.fromkeys(known.tolist())), dtype=np.int64)
        request = Request(
            user=user,
            excluded=np.zeros(0, dtype=np.int64),
            limit=query.limit,
            candidate_count=len(rows),
            options=options,
            unknown=user.unknown + Unknown(items=unknown, context=options.unknown_context),
            deadline=float("inf"),
        )
        return request, rows
