"""A request in rows of the bundle, on its way through the stages."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ranking_service.options import RankingOptions
from ranking_service.queries import RankQuery, RecommendQuery
from ranking_service.timeline import Timeline
from shortlist.inference.users import ResolvedUser, Unknown
from shortlist.live_histories.stage import NOTHING_LIVE, Live


@dataclass(frozen=True, kw_only=True)
class Request:
    """A ``query`` in rows of the bundle.

    ``excluded`` are rows, ascending, that may not be in the answer; ``candidate_count`` is how many to retrieve.
    ``live_count`` is how many live items were known when ``excluded`` was made.
    ``deadline`` is in the seconds of ``time.monotonic``. ``live`` is the live history that ``user`` has.
    """

    query: RecommendQuery | RankQuery
    user: ResolvedUser
    excluded: NDArray[np.int64]
    limit: int
    candidate_count: int
    options: RankingOptions
    unknown: Unknown
    deadline: float
    live_count: int = 0
    live: Live = NOTHING_LIVE
    timeline: Timeline = field(default_factory=Timeline)
