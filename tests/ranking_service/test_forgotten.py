"""A forgotten user's stored history counts in no further answer, also while the live service is away."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from ranking_service.queries import RecommendQuery
from retrieval_service.servicer import RetrievalServicer
from shortlist.bundle import Bundle
from shortlist.inference.users import UserQuery
from shortlist.live.v1 import event_service_pb2 as live_pb
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from shortlist.live_histories import forgotten
from shortlist.live_histories.client import LiveClient
from shortlist.live_histories.stage import LiveStage
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.security.settings import ClientSecurity
from shortlist.type.v1.user_pb2 import HISTORY_MODE_APPEND, HistoryItem, User
from tests.support.in_process import LiveServices, live_address, live_services, ranking_stub
from tests.support.live import forget, record
from tests.support.waiting import until

_SOON = 10.0
_NOBODY = User(user_id="not in the bundle")


@pytest.fixture(scope="module")
def services(
    small_bundles: Path, retrieval: RetrievalServicer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServices]:
    """A live service, and ranking with it and without."""
    with live_services(small_bundles, retrieval, tmp_path_factory.mktemp("live") / "events.sqlite") as services:
        yield services


def recommended(ranking: RankingServiceStub, user: User) -> Sequence[object]:
    answer = ranking.Recommend(pb.RecommendRequest(user=user, limit=12), timeout=_SOON)
    return [(item.item_id, item.score, item.source) for item in answer.items]


def ranked(ranking: RankingServiceStub, user: User) -> Sequence[object]:
    answer = ranking.Rank(pb.RankRequest(user=user, item_ids="hijab", limit=5), timeout=_SOON)
    return [(item.item_id, item.score, item.source) for item in answer.items]


@pytest.mark.parametrize("user_id", ["fan", "described"])
def test_a_forgotten_user_is_unknown_at_once(services: LiveServices, user_id: str) -> None:
    """Proves it for a stored history, whose items lists had left out, and for stored features."""
    assert recommended(services.ranking, User(user_id=user_id)) != recommended(services.frozen, _NOBODY)
    assert ranked(services.ranking, User(user_id=user_id)) != ranked(services.frozen, _NOBODY)
    forget(services.live, user_id)
    assert recommended(services.ranking, User(user_id=user_id)) == recommended(services.frozen, _NOBODY)
    assert ranked(services.ranking, User(user_id=user_id)) == ranked(services.frozen, _NOBODY)


def test_a_forgotten_user_may_come_back(services: LiveServices) -> None:
    """Proves that later events count, and those of the call, without the stored ones."""
    forget(services.live, "mixed")
    record(services.live, "mixed", "kg")
    items = [HistoryItem(item_id=item, event="view") for item in "kgh"]
    sending = User(user_id="mixed", history=items[2:], history_mode=HISTORY_MODE_APPEND)
    assert recommended(services.ranking, sending) == recommended(services.frozen, User(history=items))
    assert ranked(services.ranking, sending) == ranked(services.frozen, User(history=items))


def test_while_the_live_service_is_away_forgotten_users_stay_unknown(
    small_bundles: Path, retrieval: RetrievalServicer, services: LiveServices, tmp_path: Path
) -> None:
    """Proves that other users have the history of the bundle, and that every such answer is degraded."""
    with live_address(tmp_path / "events.sqlite") as address, grpc.insecure_channel(address) as channel:
        client = LiveClient(address, ClientSecurity())
        until(lambda: client.forgotten.position_of("fan", 0) == 0)
        with ranking_stub(small_bundles, retrieval, client) as ranking:
            forget(EventServiceStub(channel), "fan", "nobody whom a store or a bundle knows")
            until(lambda: bool(client.forgotten.position_of("fan", 0)))
    with ranking_stub(small_bundles, retrieval, client) as ranking:
        assert recommended(ranking, User(user_id="fan")) == recommended(services.frozen, _NOBODY)
        assert ranked(ranking, User(user_id="fan")) == ranked(services.frozen, _NOBODY)
        mixed = User(user_id="mixed")
        assert recommended(ranking, mixed) == recommended(services.frozen, mixed)
        assert ranked(ranking, mixed) == ranked(services.frozen, mixed)
        answer = ranking.Recommend(pb.RecommendRequest(user=mixed, limit=1), timeout=_SOON)
        assert answer.degraded_reason == pb.DEGRADED_REASON_HISTORY_UNAVAILABLE
    client.close()


@pytest.mark.parametrize("field", ["known_position", "forgotten_position"])
def test_a_bundle_that_was_trained_without_a_forgotten_user_needs_no_mask(
    small_bundle: Bundle, tmp_path: Path, field: str
) -> None:
    """Proves it for the answer of the live service and for the list, up to the position that the manifest has."""
    with live_address(tmp_path / "events.sqlite") as address, grpc.insecure_channel(address) as channel:
        live = EventServiceStub(channel)
        early = live.ForgetUser(live_pb.ForgetUserRequest(user_id="fan")).position
        forget(live, "mixed")
        client = LiveClient(address, ClientSecurity())
        until(lambda: bool(client.forgotten.position_of("mixed", 0)))
        bundle = replace(small_bundle, manifest=replace(small_bundle.manifest, **{field: early}))  # type: ignore[arg-type]
        stage = LiveStage(bundle, client)
        users = [UserQuery(user_id=user_id) for user_id in ("fan", "mixed", "unknown")]
        assert [stage.unasked(user).is_forgotten for user in users] == [False, True, False]
        deadline = time.monotonic() + _SOON
        found = stage.find([RecommendQuery(user=user, limit=1, deadline=deadline) for user in users])
        assert [one.is_forgotten for one in found] == [False, True, False]
        client.close()


def test_an_absence_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that the log tells of the end and of the return, and of no try in between."""
    caplog.set_level(logging.INFO, forgotten.__name__)
    monkeypatch.setattr(forgotten, "_POLL_SECONDS", 0.02)

    def lines() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == forgotten.__name__]

    with live_address(tmp_path / "events.sqlite") as address:
        client = LiveClient(address, ClientSecurity())
        until(lambda: client.forgotten.position_of("fan", 0) == 0)
    until(lambda: len(lines()) == 1)
    time.sleep(0.5)
    assert "cannot be read: UNAVAILABLE" in "".join(lines())
    with live_address(tmp_path / "events.sqlite", port=int(address.rpartition(":")[2])):
        until(lambda: len(lines()) == 2)
    client.close()
    assert lines()[1] == "the list of forgotten users can be read again"


def test_the_list_of_another_store_replaces_the_former_one(tmp_path: Path) -> None:
    """Proves that a live service over a new file tells of its own forgotten users alone."""
    with live_address(tmp_path / "first.sqlite") as address, grpc.insecure_channel(address) as channel:
        forget(EventServiceStub(channel), "ann", "ann", "bob")
        client = LiveClient(address, ClientSecurity())
        until(lambda: client.forgotten.position_of("bob", 0) == 3)
        assert [client.forgotten.position_of(one, 0) for one in ("ann", "bob", "eve")] == [2, 3, 0]
    port = int(address.rpartition(":")[2])
    with live_address(tmp_path / "second.sqlite", port=port) as address, grpc.insecure_channel(address) as channel:
        forget(EventServiceStub(channel), "eve")
        until(lambda: client.forgotten.position_of("eve", 0) == 1)
        assert [client.forgotten.position_of(one, 0) for one in ("ann", "bob")] == [0, 0]
    client.close()
