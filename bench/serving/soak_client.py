"""A client of both services that sends every kind of request, in a process of its own.

``python -m bench.serving.soak_client RANKING RETRIEVAL OUT`` calls until SIGTERM, and then writes OUT. Its rows are the
calls: the time of the end (seconds since 1970), the latency (milliseconds) and the outcome, an index into ``ENDS``.
"""

import argparse
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np

from bench.harness.planted import ITEMS, USERS
from shortlist import Recommender
from shortlist.client.service_config import channel_options
from shortlist.errors import DeadlineExceeded, InvalidRequest, ShortlistError
from shortlist.retrieval.v1.retrieval_service_pb2 import RetrieveRequest
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub

ENDS = ("answered", "degraded", "refused as it should be", "out of time as it may be", "failed")
ANSWERED, DEGRADED, REFUSED, LATE, FAILED = range(len(ENDS))
_CALLERS = 6
# One call in so many is invalid, and one has too short a deadline.
_ODD_ONE = 50
_Call = tuple[float, float, int]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.serving.soak_client", description=__doc__)
    parser.add_argument("ranking", help="target of the ranking service")
    parser.add_argument("retrieval", help="target of the retrieval service")
    parser.add_argument("out", type=Path, help="a .npy file")
    options = parser.parse_args()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    retries = channel_options("shortlist.retrieval.v1.RetrievalService", attempts=4, backoff_seconds=0.02)
    with (
        Recommender(options.ranking, timeout=5) as recommender,
        grpc.insecure_channel(options.retrieval, options=retries) as channel,
        ThreadPoolExecutor(_CALLERS) as pool,
    ):
        stub = RetrievalServiceStub(channel)
        callers = [pool.submit(_call_until, stop, recommender, stub, seed) for seed in range(_CALLERS)]
        print("calling", flush=True)
        # A wait without end would defer the signal.
        while not stop.wait(0.2):
            pass
        calls = [call for caller in callers for call in caller.result()]
    np.save(options.out, np.array(calls))


def _call_until(stop: threading.Event, recommender: Recommender, stub: RetrievalServiceStub, seed: int) -> list[_Call]:
    chance, calls = random.Random(seed), list[_Call]()  # noqa: S311 - seeded, so that a run can be repeated
    while not stop.is_set():
        started = time.perf_counter()
        end = _ended(lambda: _one(recommender, stub, chance))
        calls.append((time.time(), (time.perf_counter() - started) * 1e3, end))
    return calls


def _one(recommender: Recommender, stub: RetrievalServiceStub, chance: random.Random) -> int:
    user, items = f"u{chance.randrange(USERS):06}", [f"i{chance.randrange(ITEMS):06}" for _ in range(20)]
    match chance.randrange(_ODD_ONE):
        case 0:
            recommender.recommend(user_id=user, limit=5000)
        case 1:
            recommender.recommend(user_id=user, limit=20, timeout=0.002)
        case kind if kind < 8:
            recommender.rank(item_ids=items, user_id=user, limit=10)
        case kind if kind < 16:
            request = RetrieveRequest(limit=100)
            request.user.user_id = user
            stub.Retrieve(request, timeout=5)
        case kind if kind < 30:
            return DEGRADED if recommender.recommend(history=items[:10], limit=20).degraded else ANSWERED
        case _:
            return DEGRADED if recommender.recommend(user_id=user, limit=20).degraded else ANSWERED
    return ANSWERED


def _ended(call: Callable[[], int]) -> int:
    try:
        return call()
    except InvalidRequest:
        return REFUSED
    except DeadlineExceeded:
        return LATE
    except (ShortlistError, grpc.RpcError) as error:
        print(f"{time.time():.3f} {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return FAILED


if __name__ == "__main__":
    main()
