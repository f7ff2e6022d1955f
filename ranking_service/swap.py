"""Answers while the two services take a new bundle, each at its own moment."""

import contextlib
from collections.abc import Callable

from ranking_service.answer import Answer
from ranking_service.queries import RankQuery, RecommendQuery, SimilarQuery
from ranking_service.recommender import Recommender
from ranking_service.timeline import Timeline
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
    return _answered(served, bundle_id, query.timeline, lambda recommender: recommender.recommend(query, is_wanted))


def rank(served: ServedBundles[Recommender], bundle_id: str, query: RankQuery) -> tuple[Recommender, Answer]:
    """The caller's candidates ranked by the bundle asked for, else by the current one; and its recommender.

    Raises:
        Unavailable: no bundle is loaded yet.
        BundleNotServed: the bundle asked for is not served.
        InvalidRequest: as for :func:`recommend`.
    """
    recommender = served.get(bundle_id)
    return recommender, _counted(recommender.rank(query))


def similar(served: ServedBundles[Recommender], bundle_id: str, query: SimilarQuery) -> tuple[Recommender, Answer]:
    """The same as :func:`recommend`, for similar items.

    Raises:
        Unavailable: no bundle is loaded yet.
        BundleNotServed: the bundle asked for is not served.
        InvalidRequest: the event is none of the bundle's liked events.
    """
    return _answered(served, bundle_id, query.timeline, lambda recommender: recommender.similar(query))


def _answered(
    served: ServedBundles[Recommender], bundle_id: str, timeline: Timeline, ask: Callable[[Recommender], Answer]
) -> tuple[Recommender, Answer]:
    recommender = served.get(bundle_id)
    answer = ask(recommender)
    previous = served.previous()
    if answer.degraded is Degraded.BUNDLE_MISMATCH and not bundle_id and previous is not None:
        timeline.enter(Degraded.QUEUE_TIMEOUT)
        # The previous bundle may lack an objective that has a weight, or an event; then the answer stays degraded.
        with contextlib.suppress(InvalidRequest):
            recommender, answer = previous, ask(previous)
    return recommender, _counted(answer)


def _counted(answer: Answer) -> Answer:
    if answer.degraded is not None:
        metrics.DEGRADED[answer.degraded].inc()
    return answer
