"""A hidden item is in no answer of any method, in no fallback either, and is back once it is shown."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest

from retrieval_service.servicer import RetrievalServicer
from shortlist import Recommender
from shortlist.live.v1 import catalog_service_pb2 as live_pb
from shortlist.live_histories.client import LiveClient
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.retrieval.v1 import retrieval_service_pb2 as retrieval_pb
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.security.settings import ClientSecurity
from shortlist.type.v1.user_pb2 import HistoryItem, User
from tests.support.in_process import RowsServicer, ranking_address, ranking_stub, retrieval_address, retrieval_servicer

_SOON = 10.0
_FAN, _NEW, _NOBODY = User(user_id="fan"), User(history=[HistoryItem(item_id="c")]), User()


class Gone(RowsServicer):
    """A retrieval service that answers nothing."""

    def RetrieveRows(  # noqa: N802
        self, request: retrieval_pb.RetrieveRowsRequest, context: grpc.ServicerContext
    ) -> retrieval_pb.RetrieveRowsResponse:
        context.abort(grpc.StatusCode.UNAVAILABLE, "gone")


class Services(NamedTuple):
    """Both services over one catalogue; ranking also over retrieval that knows of no hidden item, and that is gone."""

    live: LiveClient
    ranking: RankingServiceStub
    retrieval: RetrievalServiceStub
    beside_stale: RankingServiceStub
    without_retrieval: RankingServiceStub


@pytest.fixture(scope="module")
def services(small_bundles: Path, retrieval: RetrievalServicer) -> Iterator[Services]:
    """All of them on real sockets. The catalogue is told of changes by the tests."""
    live = LiveClient("127.0.0.1:1", ClientSecurity())
    following = retrieval_servicer(small_bundles, live)
    with (
        retrieval_address(following) as address,
        grpc.insecure_channel(address) as channel,
        ranking_stub(small_bundles, following, live) as ranking,
        ranking_stub(small_bundles, retrieval, live) as beside_stale,
        ranking_stub(small_bundles, Gone(), live) as without_retrieval,
    ):
        yield Services(live, ranking, RetrievalServiceStub(channel), beside_stale, without_retrieval)
    live.close()


@pytest.fixture(autouse=True)
def _all_shown(services: Services) -> Iterator[None]:
    """Shows every item after each test."""
    yield
    say(services, "abcdefghijkl", hidden=False)


def say(services: Services, items: str, *, hidden: bool) -> None:
    availability = live_pb.Availability(hidden=hidden)
    listed = [live_pb.Item(item_id=item, availability=availability) for item in items]
    services.live.follower.catalog.take(live_pb.WatchChangesResponse(items=listed, position=1, is_current=True))


def recommended(user: User, limit: int = 4) -> Callable[[RankingServiceStub], Sequence[str]]:
    request = pb.RecommendRequest(user=user, limit=limit, keep_seen=True)
    return lambda stub: [item.item_id for item in stub.Recommend(request, timeout=_SOON).items]


def ranked(user: User) -> Callable[[RankingServiceStub], Sequence[str]]:
    request = pb.RankRequest(user=user, limit=12, item_ids=[*"abcdefghijkl"])
    return lambda stub: [item.item_id for item in stub.Rank(request, timeout=_SOON).items]


def similar(items: str) -> Callable[[RankingServiceStub], Sequence[str]]:
    request = pb.SimilarRequest(item_ids=[*items], limit=4)
    return lambda stub: [item.item_id for item in stub.Similar(request, timeout=_SOON).items]


def retrieved(user: User, similar_to: str = "") -> Callable[[RetrievalServiceStub], Sequence[str]]:
    request = retrieval_pb.RetrieveRequest(user=user, limit=4, keep_seen=True)
    if similar_to:
        request.similar_to.item_ids.append(similar_to)
    return lambda stub: [item.item_id for item in stub.Retrieve(request, timeout=_SOON).candidates]


_RANKING = [
    recommended(_FAN),
    recommended(_NEW),
    recommended(_NOBODY),
    ranked(_FAN),
    ranked(_NOBODY),
    similar("a"),
    similar("unknown"),
]


@pytest.mark.parametrize("ask", _RANKING, ids=lambda ask: "")
@pytest.mark.parametrize("beside", ["ranking", "beside_stale", "without_retrieval"])
def test_a_hidden_item_is_in_no_list(
    services: Services, ask: Callable[[RankingServiceStub], Sequence[str]], beside: str
) -> None:
    """Proves it for the first two items of a list, and that the others keep their order and are as many."""
    stub = getattr(services, beside)
    before = ask(stub)
    say(services, "".join(before[:2]), hidden=True)
    after = ask(stub)
    assert not set(after) & set(before[:2])
    # Retrieval that does not follow gives as many candidates as the ranker wants, hidden ones among them.
    expected = len(before) - 2 if len(before) == 12 else len(before) - (beside == "beside_stale")
    assert len(after) >= expected
    assert after[: len(before) - 2] == before[2:]
    say(services, "".join(before[:2]), hidden=False)
    assert ask(stub) == before


@pytest.mark.parametrize(
    "ask",
    [retrieved(_FAN), retrieved(_NEW), retrieved(_NOBODY), retrieved(_NOBODY, "a"), retrieved(_NOBODY, "unknown")],
    ids=lambda ask: "",
)
def test_a_hidden_item_is_among_no_candidates(
    services: Services, ask: Callable[[RetrievalServiceStub], Sequence[str]]
) -> None:
    """Proves that further ones take the place of the hidden, in their order."""
    before = ask(services.retrieval)
    say(services, "".join(before[:2]), hidden=True)
    after = ask(services.retrieval)
    assert not set(after) & set(before[:2])
    assert (len(after), after[:2]) == (4, before[2:])
    say(services, "".join(before[:2]), hidden=False)
    assert ask(services.retrieval) == before


def test_ranking_counts_the_hidden_candidates(small_bundles: Path, services: Services) -> None:
    """Proves that a caller learns why some are missing, through the Python client as well."""
    request = pb.RankRequest(user=_FAN, limit=5, item_ids=["a", "b", "c", "unknown", "a"])
    say(services, "bc", hidden=True)
    answer = services.ranking.Rank(request, timeout=_SOON)
    assert [item.item_id for item in answer.items] == ["a"]
    assert (answer.hidden_item_count, answer.unknown_item_count, answer.found_count) == (2, 1, 1)
    say(services, "a", hidden=True)
    answer = services.ranking.Rank(request, timeout=_SOON)
    assert (answer.hidden_item_count, len(answer.items)) == (3, 0)
    following = retrieval_servicer(small_bundles)
    with (
        ranking_address(small_bundles, following, services.live) as target,
        Recommender(f"dns:///{target}", timeout=_SOON) as client,
    ):
        assert client.rank(item_ids=["a", "d"], limit=2).hidden_items == 1


def test_with_everything_hidden_the_answers_are_empty(services: Services) -> None:
    """Proves that no method fails, and that hidden items still count as history and as what others are similar to."""
    say(services, "abcdefghijkl", hidden=True)
    for ask in _RANKING:
        assert not ask(services.ranking)
    assert not retrieved(_FAN)(services.retrieval)
    say(services, "g", hidden=False)
    assert recommended(_FAN)(services.ranking) == ["g"]
    assert similar("a")(services.ranking) == ["g"]
