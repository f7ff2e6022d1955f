"""Recommending while the two services take a new bundle, each in its own moment."""

import contextlib
from collections.abc import Callable

from ranking_service.recommender import Degraded, Ranked, Recommender, RecommendQuery
from shortlist.errors import InvalidRequest
from shortlist.observability import metrics
from shortlist.serving.served_bundles import ServedBundles


def recommend(
    served: ServedBundles[Recommender], bundle_id: str, query: RecommendQuery, is_wanted: Callable[[], bool]
) -> tuple[Recommender, Ranked]:
    """A list, made by one bundle in both stages, and who made it.

    The bundle asked for, or else the current one; or, while retrieval has not taken that one yet, the one before it.

    Raises:
        Unavailable: nothing is loaded yet.
        BundleNotServed: the bundle asked for is not served here.
        InvalidRequest: the bundle cannot order so, or takes no such context.
        CallerGone: nobody waits for the list any more.
    """
    recommender = served.get(bundle_id)
    ranked = recommender.recommend(query, is_wanted)
    previous = served.previous()
    if ranked.degraded is Degraded.BUNDLE_MISMATCH and not bundle_id and previous is not None:
        # Where only the newer bundle has an objective that the order names, popular items have to do.
        with contextlib.suppress(InvalidRequest):
            recommender, ranked = previous, previous.recommend(query, is_wanted)
    if ranked.degraded is not None:
        metrics.DEGRADED[ranked.degraded.name.lower()].inc()
    return recommender, ranked
