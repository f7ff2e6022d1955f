"""Kills a live service again and again while events are recorded, and counts those that are missing or double."""

import contextlib
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from rich.console import Console
from rich.progress import track

from bench.live.events import CALL_SECONDS, Figures, event
from shortlist.limits import MAX_EVENTS
from shortlist.live.v1 import event_service_pb2 as pb
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from testbed.services import Service

_WRITERS, _EVENTS_OF_USER = 4, 1000


def killed(store: str, kills: int, log: Path) -> Figures:
    """Acknowledged events that are missing or double after kills at random moments."""
    chance = random.Random(5)  # noqa: S311 - moments, not secrets
    arguments = ["--store", store]
    acknowledged = [0] * _WRITERS
    for _ in track(range(kills), "kills", console=Console(stderr=True)):
        with Service.start("live_service", arguments, log) as service, ThreadPoolExecutor(_WRITERS) as pool:
            for place in range(_WRITERS):
                pool.submit(_write_until_killed, service.address, place, acknowledged)
            time.sleep(chance.uniform(0.1, 0.5))
            service.process.kill()
    with Service.start("live_service", arguments, log) as service, grpc.insecure_channel(service.address) as channel:
        recorded = Counter((one.user_id, one.item_id) for one in _events(EventServiceStub(channel)))
    expected = {
        (_user(place, number), str(number)) for place, count in enumerate(acknowledged) for number in range(count)
    }
    return {
        "kills": kills,
        "acknowledged": len(expected),
        "missing": len(expected - recorded.keys()),
        "double": sum(recorded[one] - 1 for one in expected & recorded.keys()),
    }


def _user(place: int, number: int) -> str:
    # A store keeps some thousands of events of a user, and trims older ones when it starts.
    return f"w{place}-{number // _EVENTS_OF_USER}"


def _events(live: EventServiceStub) -> Iterator[pb.Event]:
    """All events of the store."""
    request = pb.ListEventsRequest(page_size=MAX_EVENTS)
    while True:
        page = live.ListEvents(request, timeout=CALL_SECONDS)
        yield from (one.event for one in page.events)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _write_until_killed(address: str, place: int, acknowledged: list[int]) -> None:
    with grpc.insecure_channel(address) as channel, contextlib.suppress(grpc.RpcError):
        live = EventServiceStub(channel)
        while True:
            number = acknowledged[place]
            one = event(f"w{place}-{number}", _user(place, number), str(number))
            # The same event again, where an earlier call had no answer.
            one.time.seconds, one.time.nanos = 1_790_000_000 + number, 0
            live.RecordEvents(pb.RecordEventsRequest(events=[one]), timeout=CALL_SECONDS)
            acknowledged[place] += 1
