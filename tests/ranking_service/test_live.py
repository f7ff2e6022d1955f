"""The next answer knows what a live service has just recorded, and comes without it when that service is gone."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from live_service.settings import Retention
from ranking_service.queries import RecommendQuery
from retrieval_service.servicer import RetrievalServicer
from shortlist import Recommender
from shortlist.bundle import Bundle
from shortlist.degraded import Degraded
from shortlist.errors import InvalidRequest
from shortlist.inference.users import UserQuery
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from shortlist.live_histories import stage
from shortlist.live_histories.client import LiveClient
from shortlist.live_histories.stage import LiveStage
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.security.settings import ClientSecurity
from shortlist.status import read_error
from shortlist.type.v1.user_pb2 import HISTORY_MODE_APPEND, HistoryItem, User
from tests.support.in_process import LiveServices, live_address, live_services, ranking_address, ranking_stub
from tests.support.live import forget, record
from tests.support.waiting import until

_SOON = 10.0


@pytest.fixture(scope="module")
def services(
    small_bundles: Path, retrieval: RetrievalServicer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServices]:
    """A live service, and ranking with it and without."""
    with live_services(small_bundles, retrieval, tmp_path_factory.mktemp("live") / "events.sqlite") as services:
        yield services


def history(items: str) -> list[HistoryItem]:
    return [HistoryItem(item_id=item, event="view") for item in items]


def asked(user: User, position: int = 0) -> pb.RecommendRequest:
    return pb.RecommendRequest(user=user, limit=5, min_position=position)


def listed(response: pb.RecommendResponse | pb.RankResponse) -> Sequence[object]:
    return [(item.item_id, item.score, item.source) for item in response.items]


def test_a_call_without_an_id_does_not_wait_for_live_histories(
    small_bundles: Path, retrieval: RetrievalServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that it is answered while another call waits for a live service that hangs."""
    monkeypatch.setattr(stage, "_LONGEST_SECONDS", _SOON)
    with socket.create_server(("127.0.0.1", 0)) as hung:
        client = LiveClient(f"127.0.0.1:{hung.getsockname()[1]}", ClientSecurity())
        with ranking_stub(small_bundles, retrieval, client) as ranking:
            waiting = ranking.Recommend.future(asked(User(user_id="fan")), timeout=5 * _SOON)
            for items in ("z", "ab"):
                response = ranking.Recommend(asked(User(history=history(items))), timeout=_SOON)
                assert response.items
                assert not response.degraded
            assert not waiting.done()
            waiting.cancel()
        client.close()


@pytest.mark.parametrize("user_id", ["fan", "described", "unknown", "never seen"])
def test_a_recorded_event_counts_as_if_the_caller_had_appended_it(services: LiveServices, user_id: str) -> None:
    """Proves it for known and new users, alone and with a history of the call that is appended."""
    position = record(services.live, user_id, "kg")
    for sent in ("", "be"):
        sending = User(user_id=user_id, history=history(sent), history_mode=HISTORY_MODE_APPEND)
        live = services.ranking.Recommend(asked(sending, position), timeout=_SOON)
        whole = User(user_id=user_id, history=history("kg" + sent), history_mode=HISTORY_MODE_APPEND)
        frozen = services.frozen.Recommend(asked(whole), timeout=_SOON)
        assert listed(live) == listed(frozen)
        assert (live.degraded, live.live_position >= position) == (False, True)
        ranked = services.ranking.Rank(pb.RankRequest(user=sending, item_ids="hijab", limit=5), timeout=_SOON)
        in_bundle = services.frozen.Rank(pb.RankRequest(user=whole, item_ids="hijab", limit=5), timeout=_SOON)
        assert listed(ranked) == listed(in_bundle)
        assert ranked.live_position >= position


def test_a_history_that_replaces_the_stored_one_replaces_the_recorded_one(services: LiveServices) -> None:
    """Proves that the recorded items are left out of the list nevertheless."""
    record(services.live, "mixed", "k")
    user = User(user_id="mixed", history=history("be"))
    live = services.ranking.Recommend(asked(user), timeout=_SOON)
    excluding = pb.RecommendRequest(user=user, limit=5, exclude_item_ids=["k"])
    assert listed(live) == listed(services.frozen.Recommend(excluding, timeout=_SOON))


def test_the_python_client_asks_for_a_position(
    small_bundles: Path, retrieval: RetrievalServicer, services: LiveServices, tmp_path: Path
) -> None:
    """Proves that its lists say the position and their id, and why they are degraded, ranked candidates included."""
    with live_address(tmp_path / "events.sqlite") as address, grpc.insecure_channel(address) as channel:
        position = record(EventServiceStub(channel), "fan", "k")
        live = LiveClient(address, ClientSecurity())
        with (
            ranking_address(small_bundles, retrieval, live) as target,
            Recommender(f"dns:///{target}", timeout=_SOON) as client,
        ):
            known = client.recommend(user_id="fan", min_position=position)
            assert (known.degraded, known.live_position, len(known.recommendation_id)) == (None, position, 32)
            early = [
                client.recommend(user_id="fan", min_position=2**40),
                client.rank(user_id="fan", item_ids=["a"], min_position=2**40),
            ]
            assert {answer.degraded for answer in early} == {"history_unavailable"}
        live.close()


def test_many_users_at_once_each_get_their_own_history(services: LiveServices) -> None:
    """Proves it for callers whose requests share calls of the live service, and that events of unknown items count."""
    users = {f"user-{number}": "abcdefghijkl"[number % 12] for number in range(40)}
    for user_id, item in users.items():
        record(services.live, user_id, item)
    record(services.live, "user-0", "z")

    def ask(user_id: str) -> pb.RecommendResponse:
        return services.ranking.Recommend(asked(User(user_id=user_id)), timeout=_SOON)

    with ThreadPoolExecutor(8) as pool:
        answers = dict(zip(users, pool.map(ask, users), strict=True))
    for user_id, item in users.items():
        expected = services.frozen.Recommend(asked(User(history=history(item))), timeout=_SOON)
        assert listed(answers[user_id]) == listed(expected)
    assert answers["user-0"].unknown_item_count == 1
    assert len({answer.recommendation_id for answer in answers.values()}) == len(users)


def test_the_next_answer_knows_every_event(services: LiveServices) -> None:
    """Proves it 200 times: the item that was recorded a moment ago is not in the list any more."""
    for number in range(200):
        user = User(user_id=f"next-{number}")
        position = record(services.live, user.user_id, "abcdefghijkl"[number % 12])
        asking = pb.RecommendRequest(user=user, limit=12, min_position=position)
        answer = services.ranking.Recommend(asking, timeout=_SOON)
        while answer.degraded:
            # On a busy machine, a call of the live service may take longer than its share.
            answer = services.ranking.Recommend(asking, timeout=_SOON)
        assert answer.live_position >= position
        assert "abcdefghijkl"[number % 12] not in {item.item_id for item in answer.items}


def test_a_position_that_is_not_reached_degrades_that_answer_alone(services: LiveServices) -> None:
    """Proves that the list comes nevertheless, with the histories that there are."""
    record(services.live, "ahead", "k")
    answer = services.ranking.Recommend(asked(User(user_id="ahead"), 10**12), timeout=_SOON)
    assert answer.degraded_reason == pb.DEGRADED_REASON_HISTORY_UNAVAILABLE
    assert len(answer.items) == 5
    assert not services.ranking.Recommend(asked(User(user_id="ahead")), timeout=_SOON).degraded


def test_a_position_without_a_live_service_is_refused(services: LiveServices) -> None:
    """Proves that a caller learns that its events can never count; and that answers have no id without one."""
    with pytest.raises(grpc.RpcError) as raised:
        services.frozen.Recommend(asked(User(user_id="fan"), 1), timeout=_SOON)
    error = read_error(raised.value)
    assert isinstance(error, InvalidRequest)
    assert error.violations[0].field == "min_position"
    frozen = services.frozen.Recommend(asked(User(user_id="fan")), timeout=_SOON)
    assert (frozen.recommendation_id, frozen.live_position) == ("", 0)


@pytest.mark.parametrize("gone", ["no port", "answers nothing"])
def test_without_the_live_service_an_answer_comes_in_time(
    small_bundles: Path, retrieval: RetrievalServicer, services: LiveServices, gone: str
) -> None:
    """Proves that the answer keeps its deadline, says why it is degraded, and uses no stored history.

    Nobody knows who was forgotten until the live service has been read once.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = "127.0.0.1:1" if gone == "no port" else f"127.0.0.1:{silent.getsockname()[1]}"
        client = LiveClient(target, ClientSecurity())
        with ranking_stub(small_bundles, retrieval, client) as ranking:
            expected = services.frozen.Recommend(asked(User(user_id="not in the bundle")), timeout=_SOON)
            for _ in range(7):
                answer = ranking.Recommend(asked(User(user_id="fan")), timeout=2.0)
                assert listed(answer) == listed(expected)
                assert answer.degraded_reason == pb.DEGRADED_REASON_HISTORY_UNAVAILABLE
                assert answer.live_position == 0
            # A call without an id needs no history, and the circuit spares the others the wait.
            began = time.monotonic()
            assert not ranking.Recommend(asked(User(history=history("a"))), timeout=2.0).degraded
            ranked = ranking.Rank(pb.RankRequest(user=User(user_id="fan"), item_ids=["a", "b"], limit=2), timeout=2.0)
            assert ranked.degraded_reason == pb.DEGRADED_REASON_HISTORY_UNAVAILABLE
            assert time.monotonic() - began < 1.0
        client.close()


@pytest.mark.parametrize(("known_position", "expected"), [(None, ("c",)), (3, ("z", "y")), (2, ("z", "y", "c"))])
def test_events_that_the_bundle_knows_do_not_count_twice(
    small_bundle: Bundle, tmp_path: Path, known_position: int | None, expected: tuple[str, ...]
) -> None:
    """Proves that a time cuts by times, and a position by arrival, so that no late event is lost."""
    known_until = 1_700_000_000
    manifest = replace(small_bundle.manifest, known_until=known_until * 10**9, known_position=known_position)
    with live_address(tmp_path / "events.sqlite", Retention(days=36_500)) as address:
        client = LiveClient(address, ClientSecurity())
        with grpc.insecure_channel(address) as channel:
            record(EventServiceStub(channel), "fan", "abc", known_until - 1)
            record(EventServiceStub(channel), "fan", "zy", known_until - 1000)
        query = RecommendQuery(user=UserQuery(user_id="fan"), limit=1, deadline=time.monotonic() + _SOON)
        [live] = LiveStage(replace(small_bundle, manifest=manifest), client).find([query])
        client.close()
    assert live.recorded.item_ids == expected


def test_a_bundle_of_another_store_gets_no_histories_of_this_one(small_bundle: Bundle, tmp_path: Path) -> None:
    """Proves that an answer is degraded where positions cannot be compared, and that forgotten users stay forgotten."""
    manifest = replace(small_bundle.manifest, known_position=10**6)
    with live_address(tmp_path / "events.sqlite") as address, grpc.insecure_channel(address) as channel:
        record(EventServiceStub(channel), "fan", "abc")
        forget(EventServiceStub(channel), "mixed")
        client = LiveClient(address, ClientSecurity())
        until(lambda: client.forgotten.position_of("fan", 0) is not None)
        stage = LiveStage(replace(small_bundle, manifest=manifest), client)
        deadline = time.monotonic() + _SOON
        ask = [RecommendQuery(user=UserQuery(user_id=one), limit=1, deadline=deadline) for one in ("fan", "mixed")]
        fan, mixed = stage.find(ask)
        client.close()
    assert (fan.degraded, fan.recorded.item_ids, fan.is_forgotten) == (Degraded.HISTORY_UNAVAILABLE, (), False)
    assert mixed.is_forgotten
