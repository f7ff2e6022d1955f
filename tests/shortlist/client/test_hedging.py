"""A slow call is hedged by a second one."""

import asyncio
import threading
import time
from collections.abc import Callable

import grpc
import pytest

from shortlist.client import AsyncRecommender, Recommender
from shortlist.errors import Unavailable
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceServicer

Start = Callable[[RankingServiceServicer], str]
_SLOW = 2.0


class SlowAtFirst(RankingServiceServicer):
    """Answers the calls whose number satisfies ``slow`` late, after all others."""

    def __init__(self, slow: Callable[[int], bool]) -> None:
        self._slow, self._lock = slow, threading.Lock()
        self.calls = 0

    def Recommend(self, request: pb.RecommendRequest, context: grpc.ServicerContext) -> pb.RecommendResponse:  # noqa: N802
        with self._lock:
            number = self.calls
            self.calls += 1
        if self._slow(number):
            end = time.monotonic() + _SLOW
            while time.monotonic() < end and context.is_active():
                time.sleep(0.01)
        return pb.RecommendResponse(bundle_id=str(number))

    def Rank(self, request: pb.RankRequest, context: grpc.ServicerContext) -> pb.RankResponse:  # noqa: N802
        raise Unavailable("never")

    def Similar(self, request: pb.SimilarRequest, context: grpc.ServicerContext) -> pb.SimilarResponse:  # noqa: N802
        raise NotImplementedError

    def GetBundle(self, request: pb.GetBundleRequest, context: grpc.ServicerContext) -> pb.GetBundleResponse:  # noqa: N802
        raise NotImplementedError


def _ask(target: str, hedge_after: float | None, count: int = 1) -> list[str]:
    with Recommender(target, timeout=10, hedge_after=hedge_after) as recommender:
        return [recommender.recommend().bundle_id for _ in range(count)]


def _ask_async(target: str, hedge_after: float | None, count: int = 1) -> list[str]:
    async def run() -> list[str]:
        async with AsyncRecommender(target, timeout=10, hedge_after=hedge_after) as recommender:
            return [(await recommender.recommend()).bundle_id for _ in range(count)]

    return asyncio.run(run())


both = pytest.mark.parametrize("ask", [_ask, _ask_async], ids=["sync", "asyncio"])
Ask = Callable[..., list[str]]


@both
def test_a_slow_call_is_made_again_and_the_first_answer_counts(start: Start, ask: Ask) -> None:
    """One slow server does not make a slow answer."""
    servicer = SlowAtFirst(lambda number: number == 0)
    started = time.monotonic()
    assert ask(start(servicer), 0.1) == ["1"]
    assert time.monotonic() - started < _SLOW
    assert servicer.calls == 2


@both
def test_a_fast_call_is_made_once(start: Start, ask: Ask) -> None:
    """Hedging adds no calls while none is slow."""
    servicer = SlowAtFirst(lambda number: False)
    assert ask(start(servicer), 1.0, 20) == [str(number) for number in range(20)]
    assert servicer.calls == 20


@both
def test_without_the_option_a_slow_call_is_waited_for(start: Start, ask: Ask) -> None:
    """Hedging is off by default."""
    servicer = SlowAtFirst(lambda number: number == 0)
    assert ask(start(servicer), None) == ["0"]
    assert servicer.calls == 1


@both
def test_a_service_that_is_slow_for_all_gets_few_more_calls(
    start: Start, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The budget allows one extra call at first, then one for every ten calls."""
    monkeypatch.setattr("tests.shortlist.client.test_hedging._SLOW", 0.05)
    servicer = SlowAtFirst(lambda number: True)
    ask(start(servicer), 0.01, 20)
    assert 21 <= servicer.calls <= 23


@both
def test_an_error_is_an_answer_when_there_is_no_other(start: Start, ask: Ask) -> None:
    """The caller gets the error, as without hedging."""
    target = start(SlowAtFirst(lambda number: False))
    with Recommender(target, timeout=10, hedge_after=1.0) as recommender, pytest.raises(Unavailable, match="never"):
        recommender.rank(item_ids=["1"])


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_hedging_after_no_time_is_refused(seconds: float) -> None:
    """A typing error cannot double every call."""
    with pytest.raises(ValueError, match="hedge_after"):
        Recommender("dns:///127.0.0.1:1", hedge_after=seconds)
