"""Both clients, against each test's own ranking service."""

import asyncio
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime

import grpc
import numpy as np
import pytest

from shortlist.client import AsyncRecommender, Recommender
from shortlist.client.messages import HistoryItem, Recommendation, Recommendations
from shortlist.errors import (
    BundleNotServed,
    DeadlineExceeded,
    FieldViolation,
    InvalidRequest,
    ShortlistError,
    Unavailable,
)
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceServicer
from shortlist.type.v1.source_pb2 import SOURCE_FALLBACK, SOURCE_MODEL
from shortlist.type.v1.user_pb2 import HISTORY_MODE_APPEND
from tests.support.environment import set_proxy

Start = Callable[[RankingServiceServicer], str]
# Each test of behaviour runs on both clients.
Ask = Callable[..., Recommendations]


class Recording(RankingServiceServicer):
    """Records its calls; raises the given errors, one a call, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.requests: list[pb.RecommendRequest | pb.RankRequest | pb.SimilarRequest] = []
        self.seconds_left: list[float | None] = []

    def Recommend(self, request: pb.RecommendRequest, context: grpc.ServicerContext) -> pb.RecommendResponse:  # noqa: N802
        self._note(request, context)
        items = [
            pb.ScoredItem(item_id="7", score=0.75, objective_scores=[0.75], retrieval_score=0.5, source=SOURCE_MODEL),
            pb.ScoredItem(item_id="8", source=SOURCE_FALLBACK),
        ]
        return pb.RecommendResponse(
            bundle_id="b",
            items=items,
            objectives=["like"],
            asked_count=request.limit,
            found_count=2,
            unknown_item_count=1,
            unknown_context_count=2,
            unknown_event_count=3,
            degraded=True,
            degraded_reason=pb.DEGRADED_REASON_RETRIEVAL_TIMEOUT,
        )

    def Rank(self, request: pb.RankRequest, context: grpc.ServicerContext) -> pb.RankResponse:  # noqa: N802
        self._note(request, context)
        return pb.RankResponse(bundle_id="b", asked_count=request.limit, found_count=len(request.item_ids))

    def Similar(self, request: pb.SimilarRequest, context: grpc.ServicerContext) -> pb.SimilarResponse:  # noqa: N802
        self._note(request, context)
        items = [
            pb.ScoredItem(item_id="7", score=0.75, retrieval_score=0.5, source=SOURCE_MODEL),
            pb.ScoredItem(item_id="8", source=SOURCE_FALLBACK),
        ]
        return pb.SimilarResponse(
            bundle_id="b",
            items=items,
            asked_count=request.limit,
            found_count=2,
            unknown_item_count=1,
            degraded=True,
            degraded_reason=pb.DEGRADED_REASON_RETRIEVAL_TIMEOUT,
        )

    def GetBundle(self, request: pb.GetBundleRequest, context: grpc.ServicerContext) -> pb.GetBundleResponse:  # noqa: N802
        raise NotImplementedError

    def _note(
        self, request: pb.RecommendRequest | pb.RankRequest | pb.SimilarRequest, context: grpc.ServicerContext
    ) -> None:
        self.requests.append(request)
        self.seconds_left.append(context.time_remaining())
        if self._errors:
            raise self._errors.pop(0)


def ask(target: str, method: str = "recommend", client_timeout: float = 5.0, **arguments: object) -> Recommendations:
    with Recommender(target, timeout=client_timeout) as recommender:
        answer: Recommendations = getattr(recommender, method)(**arguments)
        return answer


def ask_async(
    target: str, method: str = "recommend", client_timeout: float = 5.0, **arguments: object
) -> Recommendations:
    async def run() -> Recommendations:
        async with AsyncRecommender(target, timeout=client_timeout) as recommender:
            answer: Recommendations = await getattr(recommender, method)(**arguments)
            return answer

    return asyncio.run(run())


both = pytest.mark.parametrize("ask", [ask, ask_async], ids=["sync", "asyncio"])


@both
def test_every_argument_reaches_the_service(start: Start, ask: Ask) -> None:
    """The request on the wire has every argument, plain ids and full history items alike."""
    servicer = Recording()
    rated = HistoryItem(item_id="2", time=datetime(2026, 1, 2, tzinfo=UTC), event="rate", value=0.0)
    ask(
        start(servicer),
        user_id="196",
        history=["1", rated],
        append=True,
        limit=3,
        exclude=["9"],
        candidates=50,
        keep_seen=True,
        objective_weights={"like": 2.0},
        context={"device": "tv", "hour": 20},
    )
    expected = pb.RecommendRequest(limit=3, exclude_item_ids=["9"], candidate_count=50, keep_seen=True)
    expected.user.user_id = "196"
    expected.user.history_mode = HISTORY_MODE_APPEND
    expected.user.history.add(item_id="1")
    expected.user.history.add(item_id="2", event="rate", value=0.0).time.FromJsonString("2026-01-02T00:00:00Z")
    expected.objective_weights["like"] = 2.0
    expected.context["device"].text = "tv"
    expected.context["hour"].number = 20.0
    assert servicer.requests == [expected]


@both
def test_whole_numbers_are_ids(start: Start, ask: Ask) -> None:
    """Proves it for Python's and for numpy's, in every place of an id."""
    servicer, seen = Recording(), [50, np.int64(51), HistoryItem(item_id=np.int32(52)), "53"]
    target = start(servicer)
    ask(target, user_id=196, history=seen, exclude=np.array([7, 8]), limit=np.int64(3), keep_seen=np.True_)
    ask(target, "rank", user_id=np.int64(196), item_ids=[3, np.uint8(1)], objective_weights={"like": 2})
    recommend, rank = servicer.requests
    assert isinstance(recommend, pb.RecommendRequest)
    assert isinstance(rank, pb.RankRequest)
    assert (recommend.user.user_id, rank.user.user_id) == ("196", "196")
    assert [item.item_id for item in recommend.user.history] == ["50", "51", "52", "53"]
    assert (list(recommend.exclude_item_ids), list(rank.item_ids)) == (["7", "8"], ["3", "1"])
    assert (recommend.limit, recommend.keep_seen) == (3, True)


def _nobody(ask: Ask, arguments: dict[str, object]) -> None:
    """Asks with arguments that have to be refused before any connection is made."""
    ask("127.0.0.1:1", "rank" if "item_ids" in arguments else "recommend", **arguments)


@both
@pytest.mark.parametrize("name", ["history", "exclude", "item_ids"])
@pytest.mark.parametrize("value", ["72", b"72", {"72": 5.0}, 72, None], ids=type)
def test_anything_but_a_list_of_ids_is_refused_by_name(ask: Ask, name: str, value: object) -> None:
    """Proves that a text is not taken for a list of its letters, and a mapping not for its keys."""
    with pytest.raises(TypeError, match=f"^{name} is of type {type(value).__name__}; give a list"):
        _nobody(ask, {name: value})


@both
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"user_id": 1.5}, "user_id is of type float; an id is a text or a whole number"),
        ({"user_id": True}, "user_id is of type bool"),
        ({"history": ["1", b"2"]}, r"history\[1\] is of type bytes"),
        ({"exclude": [7, 8.0]}, r"exclude\[1\] is of type float"),
        ({"item_ids": [None]}, r"item_ids\[0\] is of type NoneType"),
        ({"history": [HistoryItem(item_id=1.5)]}, r"history\[0\].item_id is of type float"),  # type: ignore[arg-type]
        ({"history": [HistoryItem(item_id="1", time=17)]}, r"history\[0\].time is of type int; give a datetime"),  # type: ignore[arg-type]
        ({"history": [HistoryItem(item_id="1", event=3)]}, r"history\[0\].event is of type int; give a text"),  # type: ignore[arg-type]
        ({"history": [HistoryItem(item_id="1", value="5")]}, r"history\[0\].value is of type str; give a number"),  # type: ignore[arg-type]
        ({"history": {"1"}}, "history is of type set; its order counts, so give a list"),
        ({"limit": "10"}, "limit is of type str; give a whole number"),
        ({"limit": 10.0}, "limit is of type float"),
        ({"item_ids": ["1"], "limit": True}, "limit is of type bool"),
        ({"candidates": None}, "candidates is of type NoneType"),
        ({"append": "no"}, "append is of type str; give True or False"),
        ({"item_ids": ["1"], "append": 1}, "append is of type int"),
        ({"keep_seen": "no"}, "keep_seen is of type str; give True or False"),
        ({"objective_weights": ["like"]}, "objective_weights is of type list; give a dict"),
        ({"objective_weights": {"like": "2"}}, r"objective_weights\['like'\] is of type str; give a number"),
        ({"context": "tv"}, "context is of type str"),
        ({"context": {7: "tv"}}, "a name in context is of type int; give a text"),
        ({"context": {"device": ["tv"]}}, r"context\['device'\] is of type list; give a text or a number"),
        ({"item_ids": ["1"], "context": {"tv": True}}, r"context\['tv'\] is of type bool"),
    ],
    ids=str,
)
def test_an_argument_of_another_type_is_refused_by_name(ask: Ask, arguments: dict[str, object], message: str) -> None:
    """Proves that the message has the argument, its place, and its type."""
    with pytest.raises(TypeError, match="^" + message):
        _nobody(ask, arguments)


@both
def test_the_whole_answer_reaches_the_caller(start: Start, ask: Ask) -> None:
    """Order, scores, objectives, sources, counts and the reason of a degraded answer survive."""
    assert ask(start(Recording()), limit=3) == Recommendations(
        bundle_id="b",
        items=(
            Recommendation(item_id="7", score=0.75, objectives={"like": 0.75}, retrieval_score=0.5, source="model"),
            Recommendation(item_id="8", score=0.0, objectives={}, retrieval_score=0.0, source="fallback"),
        ),
        asked=3,
        found=2,
        unknown_items=1,
        unknown_events=3,
        unknown_context=2,
        degraded="retrieval_timeout",
    )


@both
def test_similar_sends_every_argument_and_reads_the_whole_answer(start: Start, ask: Ask) -> None:
    """Proves it of ids as numbers, of the event, and of the reason of a degraded answer."""
    servicer = Recording()
    answer = ask(start(servicer), "similar", item_ids=["3", 1], limit=2, exclude=[9], event="buy")
    expected = pb.SimilarRequest(item_ids=["3", "1"], limit=2, exclude_item_ids=["9"], event="buy")
    assert servicer.requests == [expected]
    assert answer == Recommendations(
        bundle_id="b",
        items=(
            Recommendation(item_id="7", score=0.75, objectives={}, retrieval_score=0.5, source="model"),
            Recommendation(item_id="8", score=0.0, objectives={}, retrieval_score=0.0, source="fallback"),
        ),
        asked=2,
        found=2,
        unknown_items=1,
        unknown_events=0,
        unknown_context=0,
        degraded="retrieval_timeout",
    )


@both
def test_rank_sends_the_candidates_in_the_order_given(start: Start, ask: Ask) -> None:
    """Rank gets every argument, and its answer is never degraded."""
    servicer = Recording()
    wanted = {"objective_weights": {"like": 2.0}, "context": {"device": "tv"}}
    user = {"user_id": "196", "history": ["7"], "append": True}
    answer = ask(start(servicer), "rank", item_ids=["3", "1"], limit=2, **user, **wanted)
    expected = pb.RankRequest(item_ids=["3", "1"], limit=2, objective_weights={"like": 2.0})
    expected.user.user_id = "196"
    expected.user.history.add(item_id="7")
    expected.user.history_mode = HISTORY_MODE_APPEND
    expected.context["device"].text = "tv"
    assert servicer.requests == [expected]
    assert (answer.found, answer.degraded) == (2, None)


@both
def test_a_call_has_the_clients_deadline_unless_it_brings_its_own(start: Start, ask: Ask) -> None:
    """The server sees a deadline on every call."""
    servicer = Recording()
    target = start(servicer)
    ask(target, client_timeout=20.0)
    ask(target, client_timeout=20.0, timeout=7.0)
    client_own, call_own = (left or 0.0 for left in servicer.seconds_left)
    # gRPC rounds a timeout up on the wire.
    assert 10 < client_own < 21
    assert 0 < call_own < 8


@both
def test_unavailable_is_tried_again_until_it_answers(start: Start, ask: Ask) -> None:
    """The caller does not notice three failures: the fourth attempt is answered."""
    servicer = Recording(*[Unavailable("loading")] * 3)
    assert ask(start(servicer)).bundle_id == "b"
    assert len(servicer.requests) == 4


@both
def test_a_call_is_tried_four_times_at_most(start: Start, ask: Ask) -> None:
    """The caller of a service that stays unavailable gets the error in the end."""
    servicer = Recording(*[Unavailable("loading")] * 9)
    with pytest.raises(Unavailable, match="loading"):
        ask(start(servicer))
    assert len(servicer.requests) == 4


@both
@pytest.mark.parametrize("error", [BundleNotServed("b2 is"), DeadlineExceeded("late"), RuntimeError("bug")], ids=type)
def test_nothing_else_is_tried_again(start: Start, ask: Ask, error: Exception) -> None:
    """Only UNAVAILABLE is retried; the other codes come back as the server's exceptions."""
    servicer = Recording(error)
    with pytest.raises(ShortlistError) as caught:
        ask(start(servicer))
    known = isinstance(error, ShortlistError)
    assert type(caught.value) is (type(error) if known else ShortlistError)
    assert str(caught.value) == (str(error) if known else "INTERNAL: internal error")
    assert isinstance(caught.value.__cause__, grpc.RpcError)
    assert len(servicer.requests) == 1


@both
def test_an_invalid_request_says_which_fields_are_wrong(start: Start, ask: Ask) -> None:
    """The client's exception has the violations of the server's."""
    violations = (FieldViolation("limit", "is 0; has to be 1 to 1000"), FieldViolation("user", "is odd"))
    with pytest.raises(InvalidRequest) as caught:
        ask(start(Recording(InvalidRequest(violations))), limit=0)
    assert caught.value.violations == violations


@both
def test_a_service_that_does_not_answer_ends_in_deadline_exceeded(ask: Ask) -> None:
    """The deadline holds even when the server accepts the connection and stays silent."""
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DeadlineExceeded):
        ask(f"127.0.0.1:{silent.getsockname()[1]}", timeout=0.2)


@both
def test_a_port_that_nobody_listens_on_is_unavailable(ask: Ask) -> None:
    """A refused connection raises our exception, whose one sentence has the address and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(Unavailable) as caught:
        ask(f"127.0.0.1:{port}")
    assert str(caught.value) == (
        f"nothing listens at 127.0.0.1:{port} (Connection refused); start the service there, or call the address where "
        "it listens"
    )


@both
def test_a_proxy_of_the_environment_gets_no_calls(start: Start, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that the call is answered by its target, and that nobody connects to the proxy."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0.05)
        set_proxy(monkeypatch, proxy)
        assert ask(start(Recording())).bundle_id == "b"
        with pytest.raises(TimeoutError):
            proxy.accept()


def test_a_closed_client_says_so(start: Start) -> None:
    """A call after close raises an error that names the cause."""
    target = start(Recording())
    with Recommender(target) as recommender:
        pass
    with pytest.raises(ShortlistError, match="closed"):
        recommender.recommend()


def test_a_closed_asyncio_client_says_so(start: Start) -> None:
    """The same holds for the asyncio client."""
    target = start(Recording())

    async def use_after_close() -> None:
        async with AsyncRecommender(target) as recommender:
            pass
        await recommender.rank(item_ids=["1"])

    with pytest.raises(ShortlistError, match="closed"):
        asyncio.run(use_after_close())


@pytest.mark.parametrize("hedge_after", [None, 0.01])
def test_a_client_that_is_closed_during_a_call_says_so(start: Start, hedge_after: float | None) -> None:
    """The calling task does not end as if it had been cancelled."""

    class Slow(Recording):
        def Recommend(self, request: pb.RecommendRequest, context: grpc.ServicerContext) -> pb.RecommendResponse:  # noqa: N802
            time.sleep(1)
            return super().Recommend(request, context)

    async def run() -> None:
        recommender = AsyncRecommender(start(Slow()), timeout=10, hedge_after=hedge_after)
        call = asyncio.create_task(recommender.recommend())
        await asyncio.sleep(0.3)
        await recommender.close()
        with pytest.raises(ShortlistError, match="closed"):
            await call

    asyncio.run(run())
