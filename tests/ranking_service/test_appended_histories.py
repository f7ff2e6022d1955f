"""A history that adds to the stored one gives the answers of the whole history, in every call of both services."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest

from ranking_service.recommender import Recommender
from ranking_service.servicer import RankingServicer
from retrieval_service.servicer import RetrievalServicer
from shortlist.bundle import Bundle, BundleStore
from shortlist.ranking.v1 import ranking_service_pb2 as ranking
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub, add_RankingServiceServicer_to_server
from shortlist.retrieval.v1 import retrieval_service_pb2 as retrieval
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.serving.interceptor import CallInterceptor
from shortlist.serving.served_bundles import ServedBundles
from shortlist.type.v1.user_pb2 import HISTORY_MODE_APPEND, HISTORY_MODE_REPLACE, HistoryItem, HistoryMode, User
from tests.support.in_process import retrieval_address, retrieval_client, retrieval_servicer
from tests.support.small_bundle import HISTORIES, id_of

_SOON = 10.0


class Services(NamedTuple):
    """Stubs of both services, and every call by rows from the one to the other."""

    ranking: RankingServiceStub
    retrieval: RetrievalServiceStub
    by_rows: list[bytes]


class Noting(RetrievalServicer):
    """Notes the calls by rows."""

    def __init__(self, servicer: RetrievalServicer) -> None:
        super().__init__(servicer._served)
        self.by_rows: list[bytes] = []

    def RetrieveRows(  # noqa: N802
        self, request: retrieval.RetrieveRowsRequest, context: grpc.ServicerContext
    ) -> retrieval.RetrieveRowsResponse:
        self.by_rows.append(request.SerializeToString(deterministic=True))
        return super().RetrieveRows(request, context)


@pytest.fixture(scope="module")
def services(small_bundles: Path) -> Iterator[Services]:
    """Both services over the bundle made by hand, on real sockets."""
    noting = Noting(retrieval_servicer(small_bundles))
    server = grpc.server(ThreadPoolExecutor(2), interceptors=[CallInterceptor()])
    port = server.add_insecure_port("127.0.0.1:0")
    with retrieval_client(noting) as client, retrieval_address(noting) as address:
        served = ServedBundles(
            BundleStore(small_bundles), lambda directory: Recommender(Bundle.open(directory), client)
        )
        served.load()
        add_RankingServiceServicer_to_server(RankingServicer(served), server)
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as one, grpc.insecure_channel(address) as other:
            yield Services(RankingServiceStub(one), RetrievalServiceStub(other), noting.by_rows)
        server.stop(None).wait()


def _user(user_id: str, history: Sequence[HistoryItem], mode: HistoryMode.ValueType) -> User:
    return User(user_id=user_id, history=history, history_mode=mode)


def _items(ids: str) -> list[HistoryItem]:
    return [HistoryItem(item_id=item) for item in ids]


def _late_first() -> list[HistoryItem]:
    late, early = _items("gb")
    late.time.seconds, early.time.seconds = 2, 1
    return [late, early]


_SENT: dict[str, tuple[Sequence[HistoryItem], Sequence[HistoryItem]]] = {
    "some": (_items("be"), _items("be")),
    "a value and an event": ([HistoryItem(item_id="h", value=2.5, event="buy")],) * 2,
    "unknown items and events": ([HistoryItem(item_id="zz", event="rent"), *_items("k")],) * 2,
    "times in another order": (_late_first(), _items("bg")),
    "again what is stored": (_items("aad"), _items("aad")),
    "more than the models read": (_items("bcefghijkl"), _items("bcefghijkl")),
    "none": ((), ()),
}
"""Appended interactions, and the same in the order that the models have to see."""


@pytest.mark.parametrize("sent", _SENT)
@pytest.mark.parametrize("user_id", ["fan", "mixed", "unknown", "described", "never seen"])
def test_appending_gives_bit_for_bit_the_answers_of_the_whole_history(
    services: Services, user_id: str, sent: str
) -> None:
    """Proves it for Recommend, Rank, Retrieve and BatchRetrieve, and for the rows that one service sends the other."""
    appended, in_order = _SENT[sent]
    stored = _items("".join(map(id_of, HISTORIES.get(user_id, ()))))
    answers = []
    for user in (
        _user(user_id, appended, HISTORY_MODE_APPEND),
        _user(user_id, [*stored, *in_order], HISTORY_MODE_REPLACE),
    ):
        services.by_rows.clear()
        # A set, because a slow call is made again.
        answers.append(([*map(_bits, _answers(services, user))], {*services.by_rows}))
    assert answers[0] == answers[1]


def _answers(services: Services, user: User) -> Iterator[object]:
    for keep_seen in (False, True):
        yield services.ranking.Recommend(
            ranking.RecommendRequest(user=user, limit=4, keep_seen=keep_seen), timeout=_SOON
        )
    yield services.ranking.Rank(ranking.RankRequest(user=user, item_ids=list("bgjk"), limit=4), timeout=_SOON)
    query = retrieval.RetrieveRequest(user=user, limit=4)
    yield services.retrieval.Retrieve(query, timeout=_SOON)
    batch = retrieval.BatchRetrieveRequest(requests=[query, retrieval.RetrieveRequest(user=user, limit=12)])
    yield services.retrieval.BatchRetrieve(batch, timeout=_SOON)


def _bits(answer: object) -> bytes:
    serialise: Callable[..., bytes] = answer.SerializeToString  # type: ignore[attr-defined]
    return serialise(deterministic=True)


@pytest.mark.parametrize("mode", [0, HISTORY_MODE_REPLACE])
def test_without_the_mode_the_history_replaces_the_stored_one(services: Services, mode: HistoryMode.ValueType) -> None:
    """Proves that callers of today get the lists of today, which differ from those of both histories."""
    plain = User(user_id="fan", history=_items("be"))
    named, both = _user("fan", _items("be"), mode), _user("fan", _items("be"), HISTORY_MODE_APPEND)
    assert [*map(_bits, _answers(services, named))] == [*map(_bits, _answers(services, plain))]
    assert all(a != b for a, b in zip(_answers(services, plain), _answers(services, both), strict=True))


def test_the_items_of_both_histories_are_left_out(services: Services) -> None:
    """Proves it for a user whose two histories have nothing in common."""
    user = _user("fan", _items("be"), HISTORY_MODE_APPEND)
    answer = services.ranking.Recommend(ranking.RecommendRequest(user=user, limit=12), timeout=_SOON)
    assert {item.item_id for item in answer.items} == {*"abcdefghijkl"} - {*"adbe"}


def test_a_mode_of_a_later_release_is_refused(services: Services) -> None:
    """Proves that no history is quietly read in another way, and that the error names the field."""
    user = _user("fan", _items("b"), 9)  # type: ignore[arg-type]
    query = retrieval.RetrieveRequest(user=user, limit=1)
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: services.ranking.Recommend(ranking.RecommendRequest(user=user, limit=1), timeout=_SOON), "user"),
        (lambda: services.ranking.Rank(ranking.RankRequest(user=user, item_ids="b", limit=1), timeout=_SOON), "user"),
        (lambda: services.retrieval.Retrieve(query, timeout=_SOON), "user"),
        (
            lambda: services.retrieval.BatchRetrieve(retrieval.BatchRetrieveRequest(requests=[query]), timeout=_SOON),
            r"requests\[0\].user",
        ),
    ]
    for call, field in calls:
        with pytest.raises(grpc.RpcError, match=rf"{field}.history_mode is unknown to this release") as caught:
            call()
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
