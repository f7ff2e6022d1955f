"""Both sides of every limit that a request has."""

from collections.abc import Callable, Iterator

import grpc
import pytest

from shortlist.limits import (
    MAX_BATCH,
    MAX_BATCH_CANDIDATES,
    MAX_CONTEXT,
    MAX_EXCLUDED,
    MAX_HISTORY,
    MAX_ID_BYTES,
    MAX_LIMIT,
    MAX_VALUE,
)
from shortlist.ranking.v1 import ranking_service_pb2 as ranking
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.retrieval.v1 import retrieval_service_pb2 as retrieval
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.type.v1.context_pb2 import ContextValue
from shortlist.type.v1.user_pb2 import HistoryItem, User
from testbed.services import Running

pytestmark = pytest.mark.integration
Call = Callable[[RankingServiceStub, RetrievalServiceStub, int], object]


def _user(items: int) -> User:
    return User(history=[HistoryItem(item_id=f"i{item % 120}") for item in range(items)])


def _valued(value: int) -> User:
    # One more is not to be told apart in 64 bits.
    return User(history=[HistoryItem(item_id="i1", value=float(value) * (1 if value == int(MAX_VALUE) else 2))])


def _context(values: int) -> dict[str, ContextValue]:
    return {f"name {number}": ContextValue(number=number) for number in range(values)}


def _recommend(**fields: object) -> ranking.RecommendRequest:
    return ranking.RecommendRequest(**{"limit": 5, **fields})  # type: ignore[arg-type]


def _retrieve(**fields: object) -> retrieval.RetrieveRequest:
    return retrieval.RetrieveRequest(**{"limit": 5, **fields})  # type: ignore[arg-type]


def _similar(items: int) -> retrieval.RetrieveRequest:
    return _retrieve(similar_to=retrieval.SimilarTo(item_ids=["i1"] * items))


# By the field that the refusal names: the largest that is accepted, and a call with as many.
_LIMITS: dict[str, tuple[int, Call]] = {
    "limit": (MAX_LIMIT, lambda rank, _, n: rank.Recommend(_recommend(limit=n), timeout=30)),
    "candidate_count": (MAX_LIMIT, lambda rank, _, n: rank.Recommend(_recommend(candidate_count=n), timeout=30)),
    "user.user_id": (
        MAX_ID_BYTES,
        lambda rank, _, n: rank.Recommend(_recommend(user=User(user_id="x" * n)), timeout=30),
    ),
    "user.history": (MAX_HISTORY, lambda rank, _, n: rank.Recommend(_recommend(user=_user(n)), timeout=30)),
    "exclude_item_ids": (
        MAX_EXCLUDED,
        lambda rank, _, n: rank.Recommend(_recommend(exclude_item_ids=["i1"] * n), timeout=30),
    ),
    "exclude_item_ids[0]": (
        MAX_ID_BYTES,
        lambda rank, _, n: rank.Recommend(_recommend(exclude_item_ids=["x" * n]), timeout=30),
    ),
    "item_ids": (
        MAX_LIMIT,
        lambda rank, _, n: rank.Rank(ranking.RankRequest(limit=5, item_ids=["i1"] * n), timeout=30),
    ),
    "context": (MAX_CONTEXT, lambda rank, _, n: rank.Recommend(_recommend(context=_context(n)), timeout=30)),
    "context['device']": (
        MAX_ID_BYTES,
        lambda rank, _, n: rank.Recommend(_recommend(context={"device": ContextValue(text="x" * n)}), timeout=30),
    ),
    "context['xxx": (
        MAX_ID_BYTES,
        lambda rank, _, n: rank.Recommend(_recommend(context={"x" * n: ContextValue(number=1.0)}), timeout=30),
    ),
    "similar_to.item_ids": (MAX_HISTORY, lambda _, find, n: find.Retrieve(_similar(n), timeout=30)),
    "user.history[0].value": (
        int(MAX_VALUE),
        lambda rank, _, n: rank.Recommend(_recommend(user=_valued(n)), timeout=30),
    ),
    "requests": (
        MAX_BATCH,
        lambda _, find, n: find.BatchRetrieve(retrieval.BatchRetrieveRequest(requests=[_retrieve()] * n), timeout=30),
    ),
}


@pytest.fixture(scope="module")
def stubs(running: Running) -> Iterator[tuple[RankingServiceStub, RetrievalServiceStub]]:
    """Stubs of both services."""
    with (
        grpc.insecure_channel(running.ranking.address) as rank,
        grpc.insecure_channel(running.retrieval.address) as find,
    ):
        yield RankingServiceStub(rank), RetrievalServiceStub(find)


@pytest.mark.parametrize("field", _LIMITS)
def test_a_limit_is_what_is_accepted_and_one_more_is_refused_by_name(
    field: str, stubs: tuple[RankingServiceStub, RetrievalServiceStub]
) -> None:
    """Nobody has to guess which part of a request was too large."""
    most, call = _LIMITS[field]
    call(*stubs, most)
    with pytest.raises(grpc.RpcError) as caught:
        call(*stubs, most + 1)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(caught.value.details()).startswith(field)


def test_a_batch_may_want_as_many_candidates_as_fit_into_its_answer(
    stubs: tuple[RankingServiceStub, RetrievalServiceStub],
) -> None:
    """Nobody gets an error about the size of a message that they did not write."""
    queries = [_retrieve(limit=MAX_LIMIT)] * (MAX_BATCH_CANDIDATES // MAX_LIMIT)
    answer = stubs[1].BatchRetrieve(retrieval.BatchRetrieveRequest(requests=queries), timeout=30)
    assert len(answer.responses) == len(queries)
    with pytest.raises(grpc.RpcError, match="together; at most"):
        stubs[1].BatchRetrieve(retrieval.BatchRetrieveRequest(requests=[*queries, _retrieve()]), timeout=30)
