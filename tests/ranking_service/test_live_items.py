"""An item that is put is in the lists of both services, ranked by its features, until it is hidden or deleted."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from ranking_service.queries import RecommendQuery
from ranking_service.stages.resolve import Resolver
from retrieval_service.queries import IdQuery
from retrieval_service.retriever import Retriever
from shortlist.bundle import Bundle
from shortlist.bundle.history import EMPTY_HISTORY
from shortlist.inference.live_items import LiveItems
from shortlist.inference.retrieval import RetrievalQuery
from shortlist.inference.users import IdHistory, UserQuery
from shortlist.live.v1 import catalog_service_pb2 as pb
from shortlist.live.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from shortlist.live_histories.client import LiveClient
from shortlist.observability import metrics
from shortlist.ranking.v1.ranking_service_pb2 import RankRequest, RecommendRequest, RecommendResponse, SimilarRequest
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.retrieval.v1.retrieval_service_pb2 import RetrieveRequest, SimilarTo
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.security.settings import ClientSecurity
from shortlist.type.v1.user_pb2 import HistoryItem, User
from tests.support.in_process import live_address, ranking_stub, retrieval_address, retrieval_servicer
from tests.support.live import record
from tests.support.small_bundle import BUNDLE_ID, add_new_items, publish_small_bundle, ranker_of_genres
from tests.support.waiting import until

_SOON = 10.0
_USER = User(history=[HistoryItem(item_id="a")])


class Services(NamedTuple):
    """A live service, and both services, each of which follows it by itself."""

    catalog: CatalogServiceStub
    events: EventServiceStub
    ranking: RankingServiceStub
    retrieval: RetrievalServiceStub
    of_ranking: LiveClient
    of_retrieval: LiveClient
    bundles: Path

    def put(self, item_id: str, genre: str, *vector: float) -> None:
        content = pb.ItemContent(columns={"genre": pb.Cell(text=genre), "unknown": pb.Cell(number=1)})
        if vector:
            content.vector.CopyFrom(pb.ItemVector(bundle_id=BUNDLE_ID, values=vector))
        request = pb.UpsertItemsRequest(items=[pb.Item(item_id=item_id, content=content)])
        [status] = self.catalog.UpsertItems(request, timeout=_SOON).statuses
        assert status.outcome == pb.ITEM_OUTCOME_STORED

    def delete(self, item_id: str) -> None:
        self.catalog.DeleteItems(pb.DeleteItemsRequest(item_ids=[item_id]), timeout=_SOON)

    def hide(self, item_id: str, *, hidden: bool = True) -> None:
        availability = pb.Availability(hidden=hidden)
        request = pb.SetAvailabilityRequest(item_ids=[item_id], availability=availability)
        self.catalog.SetAvailability(request, timeout=_SOON)

    def recommend(self, user: User = _USER, *, exclude: str = "", keep_seen: bool = False) -> RecommendResponse:
        excluded = [exclude] if exclude else []
        request = RecommendRequest(user=user, limit=5, exclude_item_ids=excluded, keep_seen=keep_seen)
        return self.ranking.Recommend(request, timeout=_SOON)

    def recommended(self, user: User = _USER, *, exclude: str = "", keep_seen: bool = False) -> list[str]:
        return [item.item_id for item in self.recommend(user, exclude=exclude, keep_seen=keep_seen).items]

    def retrieved(self, user: User = _USER, exclude: str = "") -> list[str]:
        request = RetrieveRequest(user=user, limit=5, exclude_item_ids=[exclude] if exclude else [])
        return [one.item_id for one in self.retrieval.Retrieve(request, timeout=_SOON).candidates]

    def both(self, item_id: str) -> set[bool]:
        """Whether the item is in the lists of each service."""
        return {item_id in self.recommended(), item_id in self.retrieved()}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """All of them on real sockets, with one item that was put before they loaded their bundle."""
    folder = tmp_path_factory.mktemp("live")
    bundles = folder / "bundles"
    add_new_items(publish_small_bundle(bundles, ranker=ranker_of_genres()))
    with live_address(folder / "events.sqlite") as address, grpc.insecure_channel(address) as channel:
        catalog, events = CatalogServiceStub(channel), EventServiceStub(channel)
        before = pb.Item(item_id="before", content=pb.ItemContent(columns={"genre": pb.Cell(text="x")}))
        catalog.UpsertItems(pb.UpsertItemsRequest(items=[before]))
        clients = [LiveClient(address, ClientSecurity()) for _ in range(2)]
        for client in clients:
            client.follower.start()
            client.follower.wait()
        servicer = retrieval_servicer(bundles, clients[0])
        with (
            retrieval_address(servicer) as of_retrieval,
            grpc.insecure_channel(of_retrieval) as its_channel,
            ranking_stub(bundles, servicer, clients[1]) as ranking,
        ):
            yield Services(catalog, events, ranking, RetrievalServiceStub(its_channel), clients[1], clients[0], bundles)
        for client in clients:
            client.close()


def test_an_item_is_found_and_ranked_by_its_own_features(services: Services) -> None:
    """Proves that the index's best gives way to it, with the exact retrieval score and the ranker's own score."""
    services.put("late-y", "y", 3, 0, 0, 0)
    until(lambda: services.both("late-y") == {True})
    first = services.recommend().items[0]
    assert first.item_id == "late-y"
    assert first.retrieval_score == pytest.approx(3.0, abs=1e-5)
    like = 13.0
    assert first.objective_scores[0] == pytest.approx(1 / (1 + np.exp(-like)), abs=1e-6)
    assert services.retrieved()[0] == "late-y"
    services.delete("late-y")


def test_a_caller_may_have_it_ranked(services: Services) -> None:
    """Proves that Rank scores it as Recommend does, with its retrieval score, and puts it last for nobody's user."""
    services.put("mine", "y", 3, 0, 0, 0)
    until(lambda: services.both("mine") == {True})
    [recommended] = [item for item in services.recommend().items if item.item_id == "mine"]
    asked = RankRequest(user=_USER, item_ids=["b", "mine", "mine", "c", "nothing"], limit=5)
    answer = services.ranking.Rank(asked, timeout=_SOON)
    assert (answer.found_count, answer.unknown_item_count, answer.hidden_item_count) == (3, 1, 0)
    assert answer.items[0].item_id == "mine"
    assert answer.items[0].retrieval_score == pytest.approx(recommended.retrieval_score, abs=1e-6)
    assert answer.items[0].objective_scores[0] == pytest.approx(recommended.objective_scores[0], abs=1e-6)
    of_nobody = services.ranking.Rank(RankRequest(item_ids=["mine", "b", "c"], limit=5), timeout=_SOON)
    assert of_nobody.items[-1].item_id == "mine"
    services.hide("mine")
    until(lambda: services.both("mine") == {False})
    answer = services.ranking.Rank(asked, timeout=_SOON)
    assert (answer.found_count, answer.unknown_item_count, answer.hidden_item_count) == (2, 1, 1)
    services.delete("mine")


def test_an_item_has_the_vector_of_its_columns(services: Services) -> None:
    """Proves it for the item that was put before the bundle was loaded, and for one that was put since."""
    services.put("since", "x")
    until(lambda: services.both("since") == {True})
    found = {item.item_id: item.retrieval_score for item in services.recommend(User(user_id="fan")).items}
    user = Bundle.open(services.bundles / BUNDLE_ID).items.vectors[[0, 3]].sum(axis=0)
    assert found["before"] == found["since"] == pytest.approx(float(user[0]), abs=1e-5)
    services.delete("since")


def test_an_item_with_huge_numbers_harms_no_list(services: Services) -> None:
    """Proves that no list has it, that a ranked list with it has scores, and that an item put later is found."""
    before = metrics.LIVE_ITEMS_REFUSED["unreadable"]._value.get()
    services.put("huge", "y", 1e38, 0, 0, 0)
    services.put("usual", "y", 3, 0, 0, 0)
    until(lambda: services.both("usual") == {True})
    assert services.both("huge") == {False}
    assert not services.recommend().degraded
    asked = RankRequest(user=_USER, item_ids=["huge", "usual"], limit=5)
    assert [item.item_id for item in services.ranking.Rank(asked, timeout=_SOON).items] == ["usual", "huge"]
    assert metrics.LIVE_ITEMS_REFUSED["unreadable"]._value.get() > before
    for item_id in ("huge", "usual"):
        services.delete(item_id)


def test_an_item_is_hidden_deleted_and_put_again(services: Services) -> None:
    """Proves that each counts in both services, and that content which is put while it is hidden does not show it."""
    services.put("shy", "x", 4, 0, 0, 0)
    until(lambda: services.both("shy") == {True})
    services.hide("shy")
    until(lambda: services.both("shy") == {False})
    services.put("shy", "x", 5, 0, 0, 0)
    services.hide("shy", hidden=False)
    until(lambda: services.both("shy") == {True})
    assert next(item for item in services.recommend().items if item.item_id == "shy").retrieval_score == 5
    services.delete("shy")
    until(lambda: services.both("shy") == {False})
    services.put("shy", "x", 6, 0, 0, 0)
    until(lambda: services.both("shy") == {True})
    services.delete("shy")


def test_an_item_that_is_seen_or_excluded_is_left_out(services: Services) -> None:
    """Proves it for a recorded event, for an interaction of the call, and for an excluded id."""
    services.put("seen", "x", 7, 0, 0, 0)
    fan = User(user_id="fan")
    until(lambda: "seen" in services.recommended(fan) and "seen" in services.retrieved(fan))
    assert "seen" not in services.recommended(fan, exclude="seen")
    assert "seen" not in services.retrieved(fan, exclude="seen")
    for item_id, unknown in (("seen", 0), ("?", 1)):
        request = RetrieveRequest(user=fan, limit=5, exclude_item_ids=[item_id])
        assert services.recommend(fan, exclude=item_id).unknown_item_count == unknown
        assert services.retrieval.Retrieve(request, timeout=_SOON).unknown_item_count == unknown
    of_call = User(history=[HistoryItem(item_id="a"), HistoryItem(item_id="seen")])
    assert "seen" not in services.recommended(of_call)
    assert "seen" in services.recommended(of_call, keep_seen=True)
    position = record(services.events, "fan", ["seen"])
    assert position
    until(lambda: "seen" not in services.recommended(fan))
    assert "seen" not in services.retrieved(fan)
    services.delete("seen")


def test_an_item_that_ranking_does_not_know_yet_is_dropped(services: Services) -> None:
    """Proves that it is counted, and that the rest of the list is answered."""
    lag = pb.Item(item_id="lag", content=pb.ItemContent(columns={"genre": pb.Cell(text="x")}))
    lag.content.vector.CopyFrom(pb.ItemVector(bundle_id=BUNDLE_ID, values=[8, 0, 0, 0]))
    message = pb.WatchChangesResponse(items=[lag], store_id=services.of_retrieval.follower.catalog.place[0])
    message.position, message.is_current = services.of_retrieval.follower.catalog.place[1], True
    services.of_retrieval.follower.catalog.take(message)
    before = metrics.LIVE_ITEMS_LAGGING._value.get()
    until(lambda: services.retrieved()[0] == "lag")
    answer = services.recommend()
    assert not answer.degraded
    assert len(answer.items) == 4
    assert metrics.LIVE_ITEMS_LAGGING._value.get() == before + 1
    services.of_retrieval.follower.catalog.take(
        pb.WatchChangesResponse(
            items=[pb.Item(item_id="lag", deleted=True)],
            store_id=message.store_id,
            position=message.position,
            is_current=True,
        )
    )


def test_items_are_counted_before_ids_are_looked_up(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves it for both stages with an item that comes just after the look-up, which has missed its exclusion."""
    services.put("early", "x", 8, 0, 0, 0)
    until(lambda: services.both("early") == {True})
    retriever = Retriever(Bundle.open(services.bundles / BUNDLE_ID), services.of_retrieval)
    live_items, look_up = retriever.live_items, LiveItems.rows_of
    assert live_items is not None
    user, names = UserQuery(history=IdHistory(item_ids=("a",), values=(np.nan,), events=("",))), iter(("late", "later"))

    def late(its: LiveItems, item_ids: Sequence[str]) -> NDArray[np.int64]:
        rows, came = look_up(its, item_ids), len(its)
        if its is live_items and "late" in item_ids:
            services.put(next(names), "x", 9, 0, 0, 0)
            until(lambda: len(its) == came + 1)
        return rows

    monkeypatch.setattr(LiveItems, "rows_of", late)
    exclude, deadline = ("late", "later"), time.monotonic() + _SOON
    found = retriever.retrieve(IdQuery(user=user, limit=3, exclude=exclude, deadline=deadline)).retrieved
    assert retriever.id_bytes_of(found.candidates.rows)[0] == b"early"
    before = len(live_items)
    resolver, query = Resolver(retriever.bundle, live_items), RecommendQuery(user=user, limit=3, deadline=deadline)
    asked = replace(query, exclude=exclude)
    assert resolver.recommend(asked, resolver.options(asked)).live_count == before == len(live_items) - 1
    for item_id in ("early", "late", "later"):
        services.delete(item_id)


def test_an_item_that_comes_after_the_exclusions_is_left_out(services: Services) -> None:
    """Proves it for a search with the number of items that were known, since a later one may be excluded by its id."""
    services.put("early", "x", 8, 0, 0, 0)
    until(lambda: services.both("early") == {True})
    retriever = Retriever(Bundle.open(services.bundles / BUNDLE_ID), services.of_retrieval)
    live_items = retriever.live_items
    assert live_items is not None
    known = len(live_items)
    services.put("meanwhile", "x", 9, 0, 0, 0)
    until(lambda: len(live_items) == known + 1)
    asked = RetrievalQuery(
        history=EMPTY_HISTORY,
        excluded=np.zeros(0, dtype=np.int64),
        limit=3,
        vector=np.eye(4, dtype=np.float32)[0],
        live_count=known,
    )
    found = [
        retriever.id_bytes_of(one.candidates.rows)[0]
        for one in retriever.retrieve_rows([asked, replace(asked, live_count=known + 1)])
    ]
    assert found == [b"early", b"meanwhile"]
    for item_id in ("early", "meanwhile"):
        services.delete(item_id)


def test_it_is_similar_to_items_near_it(services: Services) -> None:
    """Proves that both services find it by its vector, and that it asks for others itself, alone and in a basket."""
    services.put("near", "x", 9, 0, 0, 0)
    services.put("twin", "x", 8, 0, 0, 0)
    until(lambda: services.both("near") == services.both("twin") == {True})
    for asked in (["a"], ["near"], ["near", "a"]):
        expected = {"near", "twin"} - {*asked}
        answer = services.ranking.Similar(SimilarRequest(item_ids=asked, limit=5), timeout=_SOON)
        assert (answer.found_count, answer.unknown_item_count, answer.degraded) == (5, 0, False)
        assert expected <= {item.item_id for item in answer.items}
        request = RetrieveRequest(similar_to=SimilarTo(item_ids=asked), limit=5)
        retrieved = services.retrieval.Retrieve(request, timeout=_SOON)
        assert retrieved.unknown_item_count == 0
        assert expected <= {one.item_id for one in retrieved.candidates}
        listed = {item.item_id for item in answer.items} | {one.item_id for one in retrieved.candidates}
        assert not {*asked} & listed
    without = SimilarRequest(item_ids=["near"], exclude_item_ids=["twin"], limit=5)
    assert "twin" not in {item.item_id for item in services.ranking.Similar(without, timeout=_SOON).items}
    for item_id in ("near", "twin"):
        services.delete(item_id)


def test_another_bundle_has_the_same_items_in_other_rows(services: Services, tmp_path: Path) -> None:
    """Proves that a bundle that is loaded later gets what was put before, but for the items that it has itself."""
    ids = sorted([*"abcdefghijk", "later"])
    other = publish_small_bundle(tmp_path, "20260101T000000-0002", ids=ids)
    add_new_items(other)
    for item_id in ("l", "later"):
        services.put(item_id, "y")
    until(lambda: "later" in services.retrieved(User(history=[HistoryItem(item_id="b")])))
    bundle = Bundle.open(other)
    live_items = services.of_ranking.live_items(bundle)
    assert live_items is not None
    assert {"before", "l"} <= live_items.ids
    assert "later" not in live_items.ids
    services.hide("l")
    until(lambda: bool(live_items.hidden.among(live_items.rows_of(["l"]))[0]))
    services.hide("l", hidden=False)
    for item_id in ("l", "later"):
        services.delete(item_id)
