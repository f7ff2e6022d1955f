"""Where the time of a request went."""

import time
from collections import Counter
from itertools import pairwise

from shortlist.degraded import Degraded


class Timeline:
    """When a request entered each stage, so that a deadline that passes can be blamed on one of them.

    Another request's thread may run the stages of this one; its own thread reads the blame. A request that is tried
    again, with another bundle, keeps its timeline.
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
