"""Following the catalogue of a live service on a real socket, through its silence and its absence."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from shortlist.bundle import Bundle
from shortlist.catalog import follower as module
from shortlist.catalog.followed import FollowedLoader
from shortlist.catalog.follower import CatalogFollower
from shortlist.errors import StoreError
from shortlist.inference.live_items import Description
from shortlist.live.v1 import catalog_service_pb2 as pb
from shortlist.live.v1.catalog_service_pb2_grpc import CatalogServiceServicer, add_CatalogServiceServicer_to_server
from shortlist.observability import metrics
from shortlist.observability.throttled import Throttled
from shortlist.security.settings import ClientSecurity
from tests.support.waiting import until

_HIDDEN = pb.Availability(hidden=True)
Follow = Callable[[str], CatalogFollower]


class Scripted(CatalogServiceServicer):
    """Tells what its script has for each call, and then nothing until the call ends; keeps the requests."""

    def __init__(self, *calls: list[pb.WatchChangesResponse] | str) -> None:
        self._calls, self.requests = iter(calls), list[pb.WatchChangesRequest]()
        self.ended = threading.Event()
        # Whether each call ends with its connection, after its messages.
        self.ages = False

    def SetAvailability(  # noqa: N802
        self, request: pb.SetAvailabilityRequest, context: grpc.ServicerContext
    ) -> pb.SetAvailabilityResponse:
        raise NotImplementedError

    def UpsertItems(self, request: pb.UpsertItemsRequest, context: grpc.ServicerContext) -> pb.UpsertItemsResponse:  # noqa: N802
        raise NotImplementedError

    def DeleteItems(self, request: pb.DeleteItemsRequest, context: grpc.ServicerContext) -> pb.DeleteItemsResponse:  # noqa: N802
        raise NotImplementedError

    def ListItems(self, request: pb.ListItemsRequest, context: grpc.ServicerContext) -> pb.ListItemsResponse:  # noqa: N802
        raise NotImplementedError

    def WatchChanges(  # noqa: N802
        self, request: pb.WatchChangesRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchChangesResponse]:
        self.requests.append(request)
        messages = next(self._calls, [])
        if isinstance(messages, str):
            # The client tries a call again that was UNAVAILABLE.
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, messages)
        yield from messages
        if self.ages:
            context.abort(grpc.StatusCode.UNAVAILABLE, "max connection age")
        while context.is_active() and not self.ended.wait(0.02):
            pass


@contextlib.contextmanager
def serving(servicer: Scripted) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(4))
    add_CatalogServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    servicer.ended.set()
    server.stop(None).wait()


@pytest.fixture
def follow() -> Iterator[Follow]:
    """Starts a follower of a target, which ends with the test."""
    followers: list[CatalogFollower] = []

    def follow(target: str) -> CatalogFollower:
        followers.append(CatalogFollower(target, ClientSecurity()))
        followers[-1].start()
        return followers[-1]

    yield follow
    for follower in followers:
        follower.close()


def hidden(follower: CatalogFollower, bundle: Bundle) -> str:
    rows = np.arange(12)
    shown = follower.catalog.hidden_rows(bundle.items).among(rows)
    return "".join(bundle.items.ids_of(rows[shown]))


def told(items: str, position: int, *, begins: bool = False, is_current: bool = True) -> pb.WatchChangesResponse:
    listed = [pb.Item(item_id=item, availability=_HIDDEN) for item in items]
    return pb.WatchChangesResponse(items=listed, position=position, store_id="s", begins=begins, is_current=is_current)


def test_a_call_that_says_nothing_is_ended_and_the_next_one_goes_on(
    follow: Follow, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that the next call asks for the changes since the last message, and that the last state stays."""
    monkeypatch.setattr(module, "_SILENT_SECONDS", 0.3)
    script = Scripted([told("ab", 7, begins=True)], [told("c", 9)])
    with serving(script) as address:
        follower = follow(address)
        follower.wait()
        assert hidden(follower, small_bundle) == "ab"
        until(lambda: hidden(follower, small_bundle) == "abc")
        assert [(one.store_id, one.from_position) for one in script.requests[:2]] == [("", 0), ("s", 7)]
        until(lambda: len(script.requests) > 2)
        assert script.requests[2].from_position == 9
        assert hidden(follower, small_bundle) == "abc"


def test_a_state_that_breaks_off_is_asked_for_again(
    follow: Follow, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that no part of it counts."""
    monkeypatch.setattr(module, "_SILENT_SECONDS", 0.3)
    script = Scripted([told("ab", 7, begins=True, is_current=False)], [told("c", 9, begins=True)])
    with serving(script) as address:
        follower = follow(address)
        follower.wait()
        assert hidden(follower, small_bundle) == "c"
        assert [one.from_position for one in script.requests[:2]] == [0, 0]


def test_live_items_arrive_later_when_the_live_service_refuses_them(follow: Follow, small_bundle: Bundle) -> None:
    """Proves that a bundle that is loaded meanwhile gets items that were put before, hidden ones hidden."""
    content = pb.ItemContent(columns={"title": pb.Cell(text="new")})
    whole = told("x", 9, begins=True)
    whole.items.extend(
        [pb.Item(item_id="m", content=content), pb.Item(item_id="n", content=content, availability=_HIDDEN)]
    )
    script = Scripted([told("", 7, begins=True)], "refuse", [whole])
    with serving(script) as address:
        follower = follow(address)
        follower.wait()
        described = Description(vector=np.ones(4, dtype=np.float32), features=np.ones(1, dtype=np.float32))
        live_items = follower.live_items(small_bundle.items, lambda _: described)
        until(lambda: live_items.ids == {"m", "n"})
        assert [one.from_position for one in script.requests] == [0, 0, 0]
        assert live_items.hidden.among(live_items.rows_of(["m", "n"])).tolist() == [False, True]


def test_a_service_begins_without_the_live_service_and_says_so(
    follow: Follow, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Proves that it waits for a while, and that its metric tells how long nothing was heard."""
    monkeypatch.setattr(module, "_FIRST_WORD_SECONDS", 0.3)
    follower = follow("127.0.0.1:1")
    with caplog.at_level(logging.WARNING):
        follower.wait()
        assert "has not told of the hidden items" in caplog.text
        until(lambda: "the catalogue is not followed: UNAVAILABLE" in caplog.text)
    assert not hidden(follower, small_bundle)
    [sample] = next(iter(metrics.CATALOG_SILENCE_SECONDS.collect())).samples
    assert sample.value >= 0.3


def test_a_connection_that_ends_of_age_is_no_news(
    follow: Follow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Proves that the next call follows on silently, where the one before has brought something."""
    monkeypatch.setattr(module, "_THROTTLED", Throttled(logging.getLogger(module.__name__)))
    script = Scripted([told("a", 1, begins=True)], [told("b", 2)], [told("c", 3)])
    script.ages = True
    with serving(script) as target, caplog.at_level(logging.WARNING):
        follow(target)
        until(lambda: len(script.requests) >= 3)
        assert [one.from_position for one in script.requests[:3]] == [0, 1, 2]
        assert "not followed" not in caplog.text


def test_a_bundle_that_cannot_be_loaded_ends_the_following() -> None:
    """Proves that no thread is left that would keep the process from its end."""

    class Broken:
        def load(self) -> None:
            raise StoreError("no")

        def watching(self) -> contextlib.AbstractContextManager[None]:
            raise NotImplementedError

    before = threading.active_count()
    with pytest.raises(StoreError):
        FollowedLoader(Broken(), CatalogFollower("127.0.0.1:1", ClientSecurity())).load()
    until(lambda: threading.active_count() <= before)
