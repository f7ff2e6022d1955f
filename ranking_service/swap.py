"""Recommends while the two services take a new bundle, each at its own moment."""

import contextlib
from collections.abc import Callable

from ranking_service.answer import Answer
from ranking_service.queries import RecommendQuery
from ranking_service.recommender import Recommender
from shortlist.degraded import Degraded
from shortlist.errors import InvalidRequest
from shortlist.observability import metrics
from shortlist.serving.served_bundles import ServedBundles


def recommend(
    served: ServedBundles[Recommender], bundle_id: str, query: RecommendQuery, is_wanted: Callable[[], bool]
) -> tuple[Recommender, Answer]:
    """The answer, made from one bundle in both stages, and the recommender that made it.

    That is the bundle asked for, else the current one. While retrieval has not taken the current one yet, it is the
    bundle before.

    Raises:
        Unavailable: no bundle is loaded yet.
        BundleNotServed: the bundle asked for is not served.
        InvalidRequest: the bundle has no such objective, other bounds, or another kind of context value.
        CallerGone: the answer is not wanted any more.
    """
    recommender = served.get(bundle_id)
    answer = recommender.recommend(query, is_wanted)
    previous = served.previous()
    if answer.degraded is Degraded.BUNDLE_MISMATCH and not bundle_id and previous is not None:
        query.timeline.enter(Degraded.QUEUE_TIMEOUT)
        # The previous bundle may lack an objective that has a weight; then the answer stays degraded.
        with contextlib.suppress(InvalidRequest):
            recommender, answer = previous, previous.recommend(query, is_wanted)
    if answer.degraded is not None:
        metrics.DEGRADED[answer.degraded].inc()
    return recommender, answer
