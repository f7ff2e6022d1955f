"""Hidden items and real processes: in no answer after their second, through swaps, kills and restarts."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import functools
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest

from shortlist.live.v1 import catalog_service_pb2 as pb
from shortlist.live.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.ranking.v1.ranking_service_pb2 import RankRequest, RecommendRequest, SimilarRequest
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.retrieval.v1.retrieval_service_pb2 import RetrieveRequest
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.type.v1.user_pb2 import HistoryItem, User
from testbed.ports import free_port
from testbed.services import Running, Service, start_both
from testbed.versions import publish
from tests.support.small_bundle import add_new_items, publish_small_bundle
from tests.support.waiting import until

pytestmark = pytest.mark.integration
_SOON = 10.0
_ITEMS = "bcdefghijkl"
# The same items in other rows.
_BUNDLES = {"20260101T000000-0001": "abcdefghijkl", "20260101T000000-0002": "0bcdefghijkl"}
# Items that no bundle has; and one that one bundle has, and the other has not.
_NEW, _SOMETIMES_NEW = "yz", "a"
_STORM_SECONDS, _SECOND = 4.0, 1.0


class Processes(NamedTuple):
    """Where the live service listens and stores, and both services that follow it."""

    live: list[str]
    target: str
    both: Running
    bundles: Path
    logs: Path


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Both services, which start with "e" and "f" hidden. The tests start the live service, on a port of its own."""
    folder, port = tmp_path_factory.mktemp("hidden"), free_port()
    live = ["--listen", f"127.0.0.1:{port}", "--store", str(folder / "events.sqlite")]
    for bundle_id, ids in _BUNDLES.items():
        add_new_items(publish_small_bundle(folder / "bundles", bundle_id, ids=sorted(ids)))
    target = ["--live", f"127.0.0.1:{port}"]
    with Service.start("live_service", live, folder / "live.log") as first:
        with grpc.insecure_channel(first.address) as channel:
            over = pb.Availability()
            over.available_until.FromSeconds(int(time.time()) - 5)
            for item, availability in (("e", pb.Availability(hidden=True)), ("f", over)):
                request = pb.SetAvailabilityRequest(item_ids=[item], availability=availability)
                CatalogServiceStub(channel).SetAvailability(request, timeout=_SOON)
        with start_both(folder / "bundles", folder, retrieval=target, ranking=target) as both:
            # With two that watch, and with nothing else to wait for.
            assert first.stop() == 0
            yield Processes(live, target[1], both, folder / "bundles", folder)


@pytest.fixture
def live(processes: Processes) -> Iterator[Service]:
    """The running live service."""
    with Service.start("live_service", processes.live, processes.logs / "live.log") as service:
        yield service


class Clients(NamedTuple):
    catalog: CatalogServiceStub
    ranking: RankingServiceStub
    retrieval: RetrievalServiceStub

    def say(self, items: str, *, hidden: bool) -> None:
        availability = pb.Availability(hidden=hidden)
        self.catalog.SetAvailability(
            pb.SetAvailabilityRequest(item_ids=[*items], availability=availability), timeout=_SOON
        )

    def put(self, items: str) -> None:
        content = pb.ItemContent(columns={"genre": pb.Cell(text="z")})
        request = pb.UpsertItemsRequest(items=[pb.Item(item_id=item, content=content) for item in items])
        self.catalog.UpsertItems(request, timeout=_SOON)

    def personal(self) -> set[str]:
        """The items that both services list for a user of whom something is known."""
        return self.listed(0) & self.listed(4)

    def listed(self, number: int) -> set[str]:
        """The items of an answer; the methods take turns."""
        user = User(history=[HistoryItem(item_id="c")])
        match number % 5:
            case 0:
                recommend = RecommendRequest(user=user, limit=15, keep_seen=True)
                return {item.item_id for item in self.ranking.Recommend(recommend, timeout=_SOON).items}
            case 1:
                popular = RecommendRequest(limit=12)
                return {item.item_id for item in self.ranking.Recommend(popular, timeout=_SOON).items}
            case 2:
                rank = RankRequest(user=user, item_ids=[*_ITEMS], limit=12)
                return {item.item_id for item in self.ranking.Rank(rank, timeout=_SOON).items}
            case 3:
                similar = SimilarRequest(item_ids=["unknown"], limit=12)
                return {item.item_id for item in self.ranking.Similar(similar, timeout=_SOON).items}
        retrieve = RetrieveRequest(user=user, limit=15, keep_seen=True)
        return {item.item_id for item in self.retrieval.Retrieve(retrieve, timeout=_SOON).candidates}

    def answer_from(self, bundle_id: str) -> bool:
        """Whether both services answer from the bundle."""
        recommended = self.ranking.Recommend(RecommendRequest(limit=1), timeout=_SOON)
        retrieved = self.retrieval.Retrieve(RetrieveRequest(limit=1), timeout=_SOON)
        return {recommended.bundle_id, retrieved.bundle_id} == {bundle_id}

    def all_listed(self) -> set[str]:
        """Every item of any answer."""
        return set[str]().union(*map(self.listed, range(5)))


@pytest.fixture
def clients(processes: Processes) -> Iterator[Clients]:
    """Stubs of all services."""
    with ExitStack() as stack:
        channels = [
            stack.enter_context(grpc.insecure_channel(address))
            for address in (processes.target, processes.both.ranking.address, processes.both.retrieval.address)
        ]
        yield Clients(
            CatalogServiceStub(channels[0]), RankingServiceStub(channels[1]), RetrievalServiceStub(channels[2])
        )


@dataclass(kw_only=True)
class Storm:
    """Hidden items with the time of their hiding, and the violations that readers saw."""

    hidden_since: dict[str, float] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)
    answers: int = 0
    shown: list[tuple[str, float]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    def is_still(self, item: str, since: float) -> bool:
        """Whether an item has been hidden ever since."""
        return self.hidden_since.get(item) == since

    def read(self, address: str, retrieval: str, first: int) -> None:
        """Asks on, over connections of its own."""
        with grpc.insecure_channel(address) as one, grpc.insecure_channel(retrieval) as other:
            clients = Clients(CatalogServiceStub(one), RankingServiceStub(one), RetrievalServiceStub(other))
            number = first
            while not self.ended.is_set():
                began, hidden = time.monotonic(), dict(self.hidden_since)
                try:
                    listed = clients.listed(number)
                except grpc.RpcError as error:
                    self.failures.append(error)
                    return
                late = [
                    item for item, since in hidden.items() if began - since > _SECOND and self.is_still(item, since)
                ]
                self.shown += [(item, began - hidden[item]) for item in late if item in listed]
                self.answers += 1
                number += 1


def test_a_service_that_starts_hides_from_its_first_answer_on(processes: Processes, clients: Clients) -> None:
    """Proves it for both services, and for an item whose time is over; though the live service has gone since."""
    listed = clients.all_listed()
    assert not listed & set("ef")
    assert listed >= set(_ITEMS) - set("ef")


def test_no_hidden_item_is_shown_after_its_second(processes: Processes, live: Service, clients: Clients) -> None:
    """Proves it for readers of all methods, while items are hidden and shown, and bundles of other rows are swapped."""
    storm, chance = Storm(), random.Random(4)  # noqa: S311 - moments, not secrets
    both = processes.both
    readers = [
        threading.Thread(target=storm.read, args=(both.ranking.address, both.retrieval.address, number))
        for number in range(4)
    ]
    clients.say(_ITEMS, hidden=False)
    clients.put(_NEW + _SOMETIMES_NEW)
    until(lambda: clients.personal() >= set(_NEW))
    for reader in readers:
        reader.start()
    end, swap = time.monotonic() + _STORM_SECONDS, 0.0
    ever: set[str] = set()
    try:
        while time.monotonic() < end:
            if time.monotonic() > swap:
                publish(processes.bundles, chance.choice([*_BUNDLES]))
                swap = time.monotonic() + 0.7
            item = chance.choice(_ITEMS + 3 * (_NEW + _SOMETIMES_NEW))
            if item not in storm.hidden_since:
                clients.say(item, hidden=True)
                storm.hidden_since[item] = time.monotonic()
                ever.add(item)
            elif time.monotonic() - storm.hidden_since[item] > 1.5 * _SECOND:
                del storm.hidden_since[item]
                clients.say(item, hidden=False)
            time.sleep(0.02)
    finally:
        storm.ended.set()
        for reader in readers:
            reader.join()
    assert (storm.failures, storm.shown) == ([], [])
    assert len(ever) > 5
    assert storm.answers > 50
    hidden = set(storm.hidden_since)
    until(lambda: not clients.all_listed() & hidden)
    clients.say("".join(hidden), hidden=False)
    until(lambda: clients.all_listed() >= set(_ITEMS))
    until(lambda: clients.personal() >= {*_NEW, _SOMETIMES_NEW})
    clients.catalog.DeleteItems(pb.DeleteItemsRequest(item_ids=[*_NEW, _SOMETIMES_NEW]), timeout=_SOON)
    until(lambda: not clients.all_listed() & {*_NEW, _SOMETIMES_NEW})


def test_a_new_item_outlives_bundles_and_the_live_service(processes: Processes, clients: Clients) -> None:
    """Proves that it is listed after a swap, while the live service is away, and in a process that starts again."""
    bundles = [*_BUNDLES]
    with Service.start("live_service", processes.live, processes.logs / "live.log"):
        clients.put("y")
        until(lambda: "y" in clients.personal())
        for bundle_id in bundles:
            publish(processes.bundles, bundle_id)
            until(functools.partial(clients.answer_from, bundle_id))
            assert "y" in clients.personal()
    assert "y" in clients.personal()
    with Service.start("live_service", processes.live, processes.logs / "live.log"):
        clients.put("z")
        until(lambda: {*"yz"} <= clients.personal())
        clients.catalog.DeleteItems(pb.DeleteItemsRequest(item_ids=["y", "z"]), timeout=_SOON)
        until(lambda: not clients.personal() & {"y", "z"})


def test_the_last_state_stays_while_the_live_service_is_away(processes: Processes, clients: Clients) -> None:
    """Proves it for a kill, and that its next process goes on: with former hides, with new ones, and with shows."""
    with Service.start("live_service", processes.live, processes.logs / "live.log") as service:
        clients.say(_ITEMS, hidden=False)
        clients.say("dg", hidden=True)
        until(lambda: not clients.all_listed() & set("dg"))
        service.process.kill()
        service.process.wait()
    assert not clients.all_listed() & set("dg")
    with Service.start("live_service", processes.live, processes.logs / "live.log"):
        clients.say("k", hidden=True)
        until(lambda: "k" not in clients.all_listed())
        assert not clients.all_listed() & set("dgk")
        clients.say("d", hidden=False)
        until(lambda: "d" in clients.all_listed())
        assert not clients.all_listed() & set("gk")
