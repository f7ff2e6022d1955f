"""A request in rows of the bundle, on its way through the stages."""

import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from opentelemetry.trace import SpanContext

from ranking_service.options import RankingOptions
from shortlist.degraded import Degraded
from shortlist.inference.users import ResolvedUser
from shortlist.observability import tracing


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """How many names of a request the bundle does not know: ids of items, and names in the context."""

    items: int
    context: int


class Timeline:
    """When a request entered each stage, so that a deadline that passes can be blamed on one of them.

    Another request's thread may run the stages of this one; its own thread reads the blame.
    """

    def __init__(self) -> None:
        self._entered = [(Degraded.QUEUE_TIMEOUT, time.monotonic())]

    def enter(self, blame: Degraded) -> None:
        """Begins a stage; ``blame`` is the reason to give when it takes too long."""
        self._entered.append((blame, time.monotonic()))

    def blame(self) -> Degraded:
        """The reason of the stage that most of the time went by in."""
        spent = Counter[Degraded]()
        now = (Degraded.DEADLINE, time.monotonic())
        for (stage, began), (_, ended) in pairwise([*self._entered, now]):
            # Nanoseconds: a Counter counts in whole numbers.
            spent[stage] += round((ended - began) * 1e9)
        return spent.most_common(1)[0][0]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A query in rows of the bundle.

    ``excluded`` are rows, ascending, that may not be in the answer; ``candidate_count`` is how many to retrieve.
    ``deadline`` is in the seconds of ``time.monotonic``. ``span`` is the trace that the request came in, which another
    request's thread links to.
    """

    user: ResolvedUser
    excluded: NDArray[np.int64]
    limit: int
    candidate_count: int
    options: RankingOptions
    unknown: Unknown
    deadline: float
    timeline: Timeline = field(default_factory=Timeline)
    span: SpanContext | None = field(default_factory=tracing.capture)
