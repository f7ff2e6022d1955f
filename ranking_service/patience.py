"""How long a try may take before retrieval is asked again, because one instance of several may hang."""

from shortlist.client.budget import Budget

# No try gets less. More than a share of the time left would leave the next try too little.
_LEAST_SECONDS = 0.05
_SHARE = 0.25
# An answer that takes so many times as long as usual will hardly come.
_TIMES_USUAL = 8.0
_FIRST_USUAL_SECONDS = 0.03
_NEW = 0.1
# Each of eight connections meets an instance that hangs, and again for half a second, until gRPC has ejected it there.
_MOST_FURTHER = 30.0
# With few calls, further ones cannot overload anything.
_PER_SECOND = 2.0


class Patience:
    """Allows further tries within a budget, and learns how long an answer usually takes. Thread-safe."""

    def __init__(self) -> None:
        self._budget = Budget(most=_MOST_FURTHER, per_second=_PER_SECOND)
        self._usual = _FIRST_USUAL_SECONDS

    def seconds(self, left: float, number: int = 0) -> float | None:
        """The time of try ``number``, from 0, of the seconds left: each try has twice that of the one before.

        None when it has all of it, because there will be no further one. Other calls may take the last further try of
        the budget meanwhile.
        """
        seconds = max(_LEAST_SECONDS, min(left * _SHARE, self._usual * _TIMES_USUAL)) * 2**number
        return seconds if seconds * 2 <= left and self._budget.is_left else None

    def answered(self, seconds: float) -> None:
        """Reports how long an answer took."""
        self._usual += (seconds - self._usual) * _NEW
        self._budget.earn()

    def grants_further(self) -> bool:
        """Takes a further try out of the budget, if there is one, for a call whose try had no answer in its time."""
        return self._budget.spend()
