"""Candidates of a user's id know what has just been recorded, and come without it when the live service is gone."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest

from shortlist.errors import InvalidRequest
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from shortlist.live_histories.client import Cut, LiveClient, LiveHistories
from shortlist.ranking.v1.ranking_service_pb2 import RecommendRequest
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.security.settings import ClientSecurity
from shortlist.status import read_error
from shortlist.type.v1.user_pb2 import HISTORY_MODE_APPEND, HistoryItem, User
from tests.support.in_process import live_address, ranking_stub, retrieval_address, retrieval_servicer
from tests.support.live import forget, record
from tests.support.waiting import until

_SOON = 10.0


class Counting(LiveClient):
    """Counts its calls."""

    calls = 0

    def histories(self, user_ids: Sequence[str], cut: Cut, timeout: float) -> LiveHistories:
        self.calls += 1
        return super().histories(user_ids, cut, timeout)


class Services(NamedTuple):
    """The live service, a retrieval service that asks it with ``client``, and one that does not."""

    live: EventServiceStub
    retrieval: RetrievalServiceStub
    frozen: RetrievalServiceStub
    client: Counting


@pytest.fixture(scope="module")
def services(small_bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """All of them on real sockets."""
    with live_address(tmp_path_factory.mktemp("live") / "events.sqlite") as address:
        client = Counting(address, ClientSecurity())
        with (
            retrieval_address(retrieval_servicer(small_bundles, client)) as knowing,
            retrieval_address(retrieval_servicer(small_bundles)) as frozen,
            grpc.insecure_channel(address) as to_live,
            grpc.insecure_channel(knowing) as to_knowing,
            grpc.insecure_channel(frozen) as to_frozen,
        ):
            yield Services(
                EventServiceStub(to_live), RetrievalServiceStub(to_knowing), RetrievalServiceStub(to_frozen), client
            )
        client.close()


def history(items: str) -> list[HistoryItem]:
    return [HistoryItem(item_id=item, event="view") for item in items]


def asked(user: User, position: int = 0) -> pb.RetrieveRequest:
    return pb.RetrieveRequest(user=user, limit=5, min_position=position)


def content(response: pb.RetrieveResponse) -> pb.RetrieveResponse:
    """The response without the mark of its live history."""
    copy = pb.RetrieveResponse()
    copy.CopyFrom(response)
    copy.live_position = 0
    return copy


Ask = Callable[[RetrievalServiceStub, pb.RetrieveRequest], pb.RetrieveResponse]


def in_batch(stub: RetrievalServiceStub, request: pb.RetrieveRequest) -> pb.RetrieveResponse:
    [response] = stub.BatchRetrieve(pb.BatchRetrieveRequest(requests=[request]), timeout=_SOON).responses
    return response


@pytest.mark.parametrize("user_id", ["fan", "described", "unknown", "never seen"])
def test_a_recorded_event_counts_as_if_the_caller_had_appended_it(services: Services, user_id: str) -> None:
    """Proves that the answers are the same to the last bit, alone and in a batch."""
    position = record(services.live, user_id, "kg")
    for sent in ("", "be"):
        sending = User(user_id=user_id, history=history(sent), history_mode=HISTORY_MODE_APPEND)
        whole = User(user_id=user_id, history=history("kg" + sent), history_mode=HISTORY_MODE_APPEND)
        expected = services.frozen.Retrieve(asked(whole), timeout=_SOON)
        for live in (
            services.retrieval.Retrieve(asked(sending, position), timeout=_SOON),
            in_batch(services.retrieval, asked(sending, position)),
        ):
            assert content(live) == content(expected)
            assert live.live_position >= position
        assert {candidate.item_id for candidate in expected.candidates}.isdisjoint("kg")


@pytest.mark.parametrize("ask", [lambda stub, request: stub.Retrieve(request), in_batch], ids=["alone", "in a batch"])
@pytest.mark.parametrize("user_id", ["mixed", "described"])
def test_a_forgotten_user_is_unknown_at_once(services: Services, user_id: str, ask: Ask) -> None:
    """Proves that neither the history nor the features that the bundle has of the user count, from the next call on."""
    forget(services.live, user_id)
    nobody = ask(services.frozen, asked(User(user_id="not in the bundle")))
    assert content(ask(services.retrieval, asked(User(user_id=user_id)))) == content(nobody)
    sent = User(user_id=user_id, history=history("b"), history_mode=HISTORY_MODE_APPEND)
    expected = ask(services.frozen, asked(User(history=history("b"))))
    assert content(ask(services.retrieval, asked(sent))) == content(expected)


def test_a_batch_of_many_users_gives_each_their_own_history(services: Services) -> None:
    """Proves it for more users than a call of the live service has, and for queries of nobody between them."""
    users = {f"user-{number}": "abcdefghijkl"[number % 12] for number in range(50)}
    for user_id, item in users.items():
        record(services.live, user_id, item)
    requests = [asked(User(user_id=user_id)) for user_id in users]
    requests[25] = pb.RetrieveRequest(limit=5, similar_to=pb.SimilarTo(item_ids=["a"]))
    together = services.retrieval.BatchRetrieve(pb.BatchRetrieveRequest(requests=requests), timeout=_SOON).responses
    sending = [asked(User(history=history(item))) for item in users.values()]
    sending[25] = requests[25]
    expected = services.frozen.BatchRetrieve(pb.BatchRetrieveRequest(requests=sending), timeout=_SOON).responses
    assert [*map(content, together)] == [*map(content, expected)]
    assert (together[25].live_position, together[24].live_position > 0) == (0, True)


def test_callers_at_once_share_calls_and_each_get_their_own_history(services: Services) -> None:
    """Proves it for 40 calls of 8 threads."""
    users = {f"alone-{number}": "abcdefghijkl"[number % 12] for number in range(40)}
    for user_id, item in users.items():
        record(services.live, user_id, item)
    with ThreadPoolExecutor(8) as pool:
        ask = services.retrieval.Retrieve
        answers = [*pool.map(lambda user_id: ask(asked(User(user_id=user_id)), timeout=_SOON), users)]
    for item, answer in zip(users.values(), answers, strict=True):
        expected = services.frozen.Retrieve(asked(User(history=history(item))), timeout=_SOON)
        assert {one.item_id for one in answer.candidates} == {one.item_id for one in expected.candidates}


def test_a_call_by_rows_does_not_ask_again(small_bundles: Path, services: Services) -> None:
    """Proves that a recommendation asks the live service once, in ranking."""
    position = record(services.live, "once", "k")
    retrieval = retrieval_servicer(small_bundles, services.client)
    with ranking_stub(small_bundles, retrieval, services.client) as ranking:
        before = services.client.calls
        request = RecommendRequest(user=User(user_id="once"), limit=3, min_position=position)
        assert ranking.Recommend(request, timeout=_SOON).live_position >= position
        assert services.client.calls - before == 1


def test_a_position_that_is_not_reached_degrades_that_answer_alone(services: Services) -> None:
    """Proves that the candidates come nevertheless, with the history that there is."""
    record(services.live, "ahead", "k")
    requests = [asked(User(user_id="ahead"), 10**12), asked(User(user_id="ahead"))]
    early, now = services.retrieval.BatchRetrieve(pb.BatchRetrieveRequest(requests=requests), timeout=_SOON).responses
    assert (early.degraded, early.degraded_reason) == (True, pb.DEGRADED_REASON_HISTORY_UNAVAILABLE)
    assert early.candidates == now.candidates
    assert (now.degraded, now.degraded_reason) == (False, pb.DEGRADED_REASON_UNSPECIFIED)


@pytest.mark.parametrize(("position", "reason"), [(1, "was started without --live"), (-1, "is negative")])
@pytest.mark.parametrize("ask", [lambda stub, request: stub.Retrieve(request), in_batch], ids=["alone", "in a batch"])
def test_a_position_that_cannot_be_is_refused(services: Services, ask: Ask, position: int, reason: str) -> None:
    """Proves that a caller learns that its events can never count."""
    with pytest.raises(grpc.RpcError) as raised:
        ask(services.frozen, asked(User(user_id="fan"), position))
    error = read_error(raised.value)
    assert isinstance(error, InvalidRequest)
    assert error.violations[0].field.endswith("min_position")
    assert reason in error.violations[0].description


def test_once_the_live_service_is_gone_the_bundle_answers(
    small_bundles: Path, services: Services, tmp_path: Path
) -> None:
    """Proves that the answer is that of the bundle and says so, and that a forgotten user stays unknown."""
    with live_address(tmp_path / "events.sqlite") as live, grpc.insecure_channel(live) as to_live:
        forget(EventServiceStub(to_live), "mixed")
        client = LiveClient(live, ClientSecurity())
        until(lambda: bool(client.forgotten.position_of("mixed", 0)))
    with (
        retrieval_address(retrieval_servicer(small_bundles, client)) as address,
        grpc.insecure_channel(address) as channel,
    ):
        stub = RetrievalServiceStub(channel)
        for user_id, as_if in (("fan", "fan"), ("mixed", "not in the bundle")) * 4:
            answer = stub.Retrieve(asked(User(user_id=user_id)), timeout=_SOON)
            expected = services.frozen.Retrieve(asked(User(user_id=as_if)), timeout=_SOON)
            assert answer.candidates == expected.candidates
            assert answer.degraded_reason == pb.DEGRADED_REASON_HISTORY_UNAVAILABLE
        assert not stub.Retrieve(asked(User(history=history("a"))), timeout=_SOON).degraded
    client.close()
