"""A load generator that does not wait for answers, in a process of its own.

``python -m bench.harness.flood ADDRESS METHOD REQUESTS`` reads lines ``CALLS_PER_SECOND SECONDS`` and answers each
with a line of JSON: the number of calls sent, and their latencies in milliseconds by status code.
"""

import argparse
import json
import sys
import threading
import time
from collections import defaultdict
from itertools import cycle
from pathlib import Path
from typing import Any

import grpc

from bench.harness.generator import read_requests
from shortlist.client.connections import CONNECTIONS, OWN_CONNECTION

_CALL_SECONDS = 5.0


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.harness.flood", description=__doc__)
    parser.add_argument("address", help="of the server")
    parser.add_argument("method", help="the full name, such as /shortlist.ranking.v1.RankingService/Recommend")
    parser.add_argument("requests", type=Path, help="a file of serialised requests")
    options = parser.parse_args()
    channels = [grpc.insecure_channel(options.address, options=[OWN_CONNECTION]) for _ in range(CONNECTIONS)]
    calls: Any = cycle([channel.unary_unary(options.method) for channel in channels])
    requests = cycle(read_requests(options.requests))
    for line in sys.stdin:
        rate, seconds = map(float, line.split())
        print(json.dumps(_flood(calls, requests, rate, seconds)), flush=True)


def _flood(calls: Any, requests: Any, rate: float, seconds: float) -> dict[str, object]:  # noqa: ANN401 - cycles
    ended, lock = defaultdict[str, list[float]](list), threading.Lock()
    sent, started = 0, time.perf_counter()
    pending = threading.Semaphore(0)

    def note(call: Any, begun: float) -> None:  # noqa: ANN401 - a call that is a future
        took = (time.perf_counter() - begun) * 1e3
        with lock:
            ended[call.code().name].append(took)
        pending.release()

    while (now := time.perf_counter() - started) < seconds:
        while sent < rate * now:
            begun = time.perf_counter()
            call = next(calls).future(next(requests), timeout=_CALL_SECONDS)
            call.add_done_callback(lambda call, begun=begun: note(call, begun))
            sent += 1
        time.sleep(0.001)
    for _ in range(sent):
        pending.acquire()
    return {"sent": sent, "ended": ended}


if __name__ == "__main__":
    main()
