"""Makes served answers again, through a ranking service that serves their bundles."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeAlias

import grpc

from shortlist.client.channels import Channels
from shortlist.client.service_config import channel_options
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.ranking.v1.served_answer_pb2 import ServedAnswer, ServedRank, ServedRecommend
from shortlist.security.settings import ClientSecurity
from shortlist.served.segments import call_of, read_backwards

Call: TypeAlias = "ServedRecommend | ServedRank"
Response: TypeAlias = "pb.RecommendResponse | pb.RankResponse"
_TIMEOUT_SECONDS = 5.0
_CLOSE = 1e-4
_MOST_SHOWN = 5


class Outcome(Enum):
    """The result of making an answer again."""

    EQUAL = "are equal, bit for bit"
    CLOSE = "have the same items in the same order, and scores that differ by the rounding of another batch"
    UNEQUAL = "differ"
    DEGRADED = "were degraded, or are now: such an answer depends on the moment"
    NOT_SERVED = "are of a bundle that is not served any more"
    FAILED = "got no answer from the ranking service"


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """How many answers have each outcome, none of an empty log, and the ids of some that differ.

    ``last_code`` is the status of the last call that got no answer.
    """

    counts: Counter[Outcome]
    unequal_ids: Sequence[str]
    last_code: str

    @property
    def compared(self) -> int:
        """How many answers were made again."""
        return self.counts[Outcome.EQUAL] + self.counts[Outcome.CLOSE] + self.counts[Outcome.UNEQUAL]


def replay(directory: Path, target: str, security: ClientSecurity, most: int) -> Replayed:
    """Makes the latest answers of a log again, at most so many.

    Raises:
        SegmentDamaged: a segment is damaged.
        OSError: a segment cannot be read.
    """
    latest = itertools.chain.from_iterable(reversed(segment) for segment in read_backwards(directory))
    return _replay(list(itertools.islice(latest, most)), target, security)


def _replay(answers: Sequence[ServedAnswer], target: str, security: ClientSecurity) -> Replayed:
    options = channel_options("shortlist.ranking.v1.RankingService", attempts=3, backoff_seconds=0.1)
    channels = Channels(target, RankingServiceStub, options, security)
    try:
        # One after the other: requests that share a run of the models share their rounding.
        codes = list[str]()
        outcomes = [_outcome(channels, answer, codes) for answer in answers]
    finally:
        channels.close()
    unequal = [
        call_of(answer).response.recommendation_id
        for answer, outcome in zip(answers, outcomes, strict=True)
        if outcome is Outcome.UNEQUAL
    ]
    last_code = codes[-1] if codes else ""
    return Replayed(counts=Counter(outcomes), unequal_ids=unequal[:_MOST_SHOWN], last_code=last_code)


def _outcome(channels: Channels[RankingServiceStub], answer: ServedAnswer, codes: list[str]) -> Outcome:
    call = call_of(answer)
    if call.response.degraded:
        return Outcome.DEGRADED
    try:
        again = _make_again(channels, call)
    except grpc.RpcError as error:
        codes.append(error.code().name)
        return Outcome.NOT_SERVED if error.code() is grpc.StatusCode.FAILED_PRECONDITION else Outcome.FAILED
    return Outcome.DEGRADED if again.degraded else _compare(call.response, again)


def _make_again(channels: Channels[RankingServiceStub], call: Call) -> Response:
    with channels.stub() as stub:
        if isinstance(call, ServedRank):
            return stub.Rank(call.request, timeout=_TIMEOUT_SECONDS, metadata=channels.metadata())
        return stub.Recommend(call.request, timeout=_TIMEOUT_SECONDS, metadata=channels.metadata())


def _compare(served: Response, again: Response) -> Outcome:
    # The one difference that there always is.
    again.recommendation_id = served.recommendation_id
    if again == served:
        return Outcome.EQUAL
    pairs = zip(served.items, again.items, strict=False)
    close = len(served.items) == len(again.items) and all(_is_close(one, other) for one, other in pairs)
    return Outcome.CLOSE if close else Outcome.UNEQUAL


def _is_close(one: pb.ScoredItem, other: pb.ScoredItem) -> bool:
    same = (one.item_id, one.source) == (other.item_id, other.source)
    return same and math.isclose(one.score, other.score, rel_tol=_CLOSE, abs_tol=_CLOSE)
