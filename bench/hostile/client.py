"""Honest callers of the ranking service, in a process of its own.

``python -m bench.hostile.client RANKING USERS RATE OUT`` calls until SIGTERM, so many times a second, and then writes
OUT. Its rows are the calls: when each was due (seconds since 1970), the latency (milliseconds) and the outcome, an
index into ``OUTCOMES``. No call waits for another one. A refused call is made again after the pause that the refusal
names. USERS is a file with an id on each line.
"""

import argparse
import asyncio
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shortlist import AsyncRecommender
from shortlist.degraded import Degraded
from shortlist.errors import DeadlineExceeded, Overloaded, ShortlistError, Unavailable

_ANSWERED, _UNKNOWN = "answered", "unknown"
_DEGRADED = (*(reason.value for reason in Degraded), _UNKNOWN)
_ERRORS = (Overloaded, Unavailable, DeadlineExceeded, ShortlistError)
OUTCOMES = (_ANSWERED, *_DEGRADED, *(error.__name__ for error in _ERRORS))
FIRST_DEGRADED, FIRST_LOST = 1, 1 + len(_DEGRADED)
_LIMIT = 20
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
    users = options.users.read_text().splitlines()
    np.save(options.out, np.array(asyncio.run(_call_until_stopped(options.ranking, users, options.rate))))


async def _call_until_stopped(ranking: str, users: Sequence[str], rate: float) -> list[_Call]:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    calls, open_calls = list[_Call](), set[asyncio.Task[None]]()
    async with AsyncRecommender(ranking) as recommender:

        async def call(user: str, due: float) -> None:
            outcome = await _outcome(recommender, user, due + _PATIENCE_SECONDS)
            # The latency counts from the moment that the call was due: a client that is late must not hide it.
            calls.append((due, (time.time() - due) * 1e3, OUTCOMES.index(outcome)))

        print("calling", flush=True)
        started, place = time.time(), 0
        while not stop.is_set():
            due = started + place / rate
            await asyncio.sleep(max(0.0, due - time.time()))
            # The loop itself keeps no reference to a task.
            task = asyncio.create_task(call(users[place % len(users)], due))
            open_calls.add(task)
            task.add_done_callback(open_calls.discard)
            place += 1
        await asyncio.gather(*open_calls)
    return sorted(calls)


async def _outcome(recommender: AsyncRecommender, user: str, end: float) -> str:
    while True:
        try:
            degraded = (await recommender.recommend(user_id=user, limit=_LIMIT)).degraded
        except Overloaded as error:
            if not error.retry_seconds or time.time() + error.retry_seconds > end:
                return Overloaded.__name__
            await asyncio.sleep(error.retry_seconds)
        except ShortlistError as error:
            return _name(error, _ERRORS)
        else:
            return _ANSWERED if degraded is None else degraded if degraded in _DEGRADED else _UNKNOWN


def _name(error: ShortlistError, kinds: Sequence[type[ShortlistError]]) -> str:
    return next(kind.__name__ for kind in kinds if isinstance(error, kind))


if __name__ == "__main__":
    main()
