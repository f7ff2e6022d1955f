"""Kills a live service again and again while events are recorded, and counts those that are missing or double."""

import contextlib
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from rich.console import Console
from rich.progress import track

from bench.live.events import CALL_SECONDS, Figures, event
from shortlist.live.v1 import event_service_pb2 as pb
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from testbed.services import Service

_WRITERS, _MOST = 4, 5000


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
        request = pb.GetHistoriesRequest(user_ids=[f"w{place}" for place in range(_WRITERS)], limit=_MOST)
        histories = EventServiceStub(channel).GetHistories(request, timeout=CALL_SECONDS).histories
    missing = double = 0
    for place, history in enumerate(histories):
        numbers = [int(item.item_id) for item in history.items]
        missing += len(set(range(max(0, acknowledged[place] - _MOST), acknowledged[place])) - set(numbers))
        double += len(numbers) - len(set(numbers))
    return {"kills": kills, "acknowledged": sum(acknowledged), "missing": missing, "double": double}


def _write_until_killed(address: str, place: int, acknowledged: list[int]) -> None:
    with grpc.insecure_channel(address) as channel, contextlib.suppress(grpc.RpcError):
        live = EventServiceStub(channel)
        while True:
            number = acknowledged[place]
            one = event(f"w{place}-{number}", f"w{place}", str(number))
            # The same event again, where an earlier call had no answer.
            one.time.seconds, one.time.nanos = 1_790_000_000 + number, 0
            live.RecordEvents(pb.RecordEventsRequest(events=[one]), timeout=CALL_SECONDS)
            acknowledged[place] += 1
