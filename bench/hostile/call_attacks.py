"""Attacks by well-formed calls: bursts without a limit, and histories with extreme values."""

import math
import random
from collections import Counter
from typing import Any

import grpc

from bench.hostile.targets import RECOMMEND, Targets
from bench.hostile.wire_attacks import paced
from shortlist.client.connections import OWN_CONNECTION
from shortlist.errors import Overloaded
from shortlist.limits import MAX_HISTORY, MAX_VALUE
from shortlist.ranking.v1.ranking_service_pb2 import RecommendRequest, RecommendResponse
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.status import read_error
from shortlist.type.v1.user_pb2 import HistoryItem, User

BURST = 5000
_BURSTS_A_SECOND = 0.2
_BURST_SECONDS, _CALL_SECONDS = 10.0, 2.0


def bursts(targets: Targets, end: float) -> Counter[str]:
    """5,000 calls at once on one connection, every five seconds.

    Counts the calls ``sent``, ``answered``, ``refused`` with a pause to wait, and ``unexplained``: the rest.
    """
    request = RecommendRequest(user=User(user_id=targets.users[0]), limit=10).SerializeToString()
    counts = Counter[str](sent=0)
    for _ in paced(_BURSTS_A_SECOND, end):
        with grpc.insecure_channel(targets.ranking, options=[OWN_CONNECTION]) as channel:
            call: Any = channel.unary_unary(RECOMMEND)
            calls = [call.future(request, timeout=_BURST_SECONDS) for _ in range(BURST)]
            counts.update(map(_ended, calls))
        counts["sent"] += len(calls)
    return counts


def extreme_histories(targets: Targets, end: float) -> Counter[str]:
    """20 calls a second with values at the edge of 32-bit floats, and some histories of the greatest length.

    Counts the calls ``sent``, and the answers with a score that is ``not finite``.
    """
    chance = random.Random(7)  # noqa: S311 - seeded, so that a run can be repeated
    counts = Counter[str](sent=0)
    with grpc.insecure_channel(targets.ranking, options=[OWN_CONNECTION]) as channel:
        stub = RankingServiceStub(channel)
        for place, _ in enumerate(paced(20, end)):
            length = MAX_HISTORY if place % 20 == 0 else 10
            history = [
                HistoryItem(item_id=chance.choice(targets.items), value=chance.choice((-1, 1)) * MAX_VALUE)
                for _ in range(length)
            ]
            counts["sent"] += 1
            try:
                answer = stub.Recommend(RecommendRequest(user=User(history=history), limit=20), timeout=_CALL_SECONDS)
            except grpc.RpcError as error:
                counts[error.code().name] += 1
            else:
                counts["not finite"] += not _is_finite(answer)
    return counts


def _ended(call: Any) -> str:  # noqa: ANN401 - a call that is a future
    if call.exception() is None:
        return "answered"
    error = read_error(call)
    return "refused" if isinstance(error, Overloaded) and error.retry_seconds else "unexplained"


def _is_finite(answer: RecommendResponse) -> bool:
    return all(math.isfinite(score) for item in answer.items for score in (item.score, *item.objective_scores))
