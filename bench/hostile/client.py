"""Honest callers of the ranking service, in a process of its own.

``python -m bench.hostile.client RANKING USERS RATE OUT`` calls until SIGTERM, so many times a second, and then writes
OUT. Its rows are the calls: when each was due (seconds since 1970), the latency (milliseconds) and the outcome, an
index into ``OUTCOMES``. A refused call is made again after the pause that the refusal names, as the documentation asks.
USERS is a file with an id on each line.
"""

import argparse
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import numpy as np

from shortlist import Recommender
from shortlist.degraded import Degraded
from shortlist.errors import DeadlineExceeded, Overloaded, ShortlistError, Unavailable

_ANSWERED, _UNKNOWN = "answered", "unknown"
_DEGRADED = (*(reason.value for reason in Degraded), _UNKNOWN)
_ERRORS = (Overloaded, Unavailable, DeadlineExceeded, ShortlistError)
OUTCOMES = (_ANSWERED, *_DEGRADED, *(error.__name__ for error in _ERRORS))
FIRST_DEGRADED, FIRST_LOST = 1, 1 + len(_DEGRADED)
_LIMIT = 20
_CALLERS = 48
# A call that is refused until then is lost.
_PATIENCE_SECONDS = 2.0
_Call = tuple[float, float, int]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile.client", description=__doc__)
    parser.add_argument("ranking", help="target of the ranking service")
    parser.add_argument("users", type=Path, help="a file of user ids")
    parser.add_argument("rate", type=float, help="calls a second")
    parser.add_argument("out", type=Path, help="a .npy file")
    options = parser.parse_args()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    users = options.users.read_text().splitlines()
    places, started = count(), time.time()
    with Recommender(options.ranking) as recommender, ThreadPoolExecutor(_CALLERS) as pool:

        def call_until_stopped() -> list[_Call]:
            calls = list[_Call]()
            while not stop.is_set():
                place = next(places)
                calls.append(_call(recommender, users[place % len(users)], started + place / options.rate))
            return calls

        callers = [pool.submit(call_until_stopped) for _ in range(_CALLERS)]
        print("calling", flush=True)
        # A wait without end would defer the signal.
        while not stop.wait(0.2):
            pass
        calls = [call for caller in callers for call in caller.result()]
    np.save(options.out, np.array(sorted(calls)))


def _call(recommender: Recommender, user: str, due: float) -> _Call:
    # The latency counts from the moment that the call was due: a caller that is late because earlier calls were slow
    # must not hide it.
    time.sleep(max(0.0, due - time.time()))
    outcome = _outcome(recommender, user, due + _PATIENCE_SECONDS)
    return due, (time.time() - due) * 1e3, OUTCOMES.index(outcome)


def _outcome(recommender: Recommender, user: str, end: float) -> str:
    while True:
        try:
            degraded = recommender.recommend(user_id=user, limit=_LIMIT).degraded
        except Overloaded as error:
            if not error.retry_seconds or time.time() + error.retry_seconds > end:
                return Overloaded.__name__
            time.sleep(error.retry_seconds)
        except ShortlistError as error:
            return _name(error, _ERRORS)
        else:
            return _ANSWERED if degraded is None else degraded if degraded in _DEGRADED else _UNKNOWN


def _name(error: ShortlistError, kinds: Sequence[type[ShortlistError]]) -> str:
    return next(kind.__name__ for kind in kinds if isinstance(error, kind))


if __name__ == "__main__":
    main()
