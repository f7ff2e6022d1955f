"""Events that are recorded, and how long it takes."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from rich.console import Console
from rich.progress import track

from bench.live.events import Figures, event, record
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub

_BATCH, _WRITERS = 500, 4


def acknowledgements(live: EventServiceStub) -> Figures:
    """The latencies of one caller with one event a call, in milliseconds."""
    latencies = []
    for number in track(range(2_000), "acknowledgements", console=Console(stderr=True)):
        one = event(f"ack-{number}", f"writer-{number % 97}", "i1")
        began = time.perf_counter()
        record(live, [one])
        latencies.append((time.perf_counter() - began) * 1e3)
    return {"ack_p50_ms": float(np.median(latencies)), "ack_p99_ms": float(np.percentile(latencies, 99))}


def intake(live: EventServiceStub, seconds: float) -> Figures:
    """Events a second of several callers with batches."""
    chance = random.Random(1)  # noqa: S311 - a seed, so that runs are alike
    ids = [f"{chance.getrandbits(128):032x}" for _ in range(400_000)]
    batches = [
        [event(one, f"user-{chance.randrange(100_000)}", "i1") for one in ids[start : start + _BATCH]]
        for start in range(0, len(ids), _BATCH)
    ]
    end = time.perf_counter() + max(seconds, 5.0)

    def write(place: int) -> int:
        count = 0
        for batch in batches[place::_WRITERS]:
            if time.perf_counter() >= end:
                break
            record(live, batch)
            count += len(batch)
        return count

    began = time.perf_counter()
    with ThreadPoolExecutor(_WRITERS) as pool:
        events = sum(pool.map(write, range(_WRITERS)))
    return {"intake_events_per_second": events / (time.perf_counter() - began)}
