"""A load generator in a process of its own: keeps calls in flight and times them.

``python -m bench.harness.generator TARGETS.json`` reads lines ``NAME IN_FLIGHT SECONDS`` and answers each with a
line of JSON. Requests are serialised in advance and answers are not parsed, so that the server is the bottleneck.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc

from shortlist.client.connections import CONNECTIONS, OWN_CONNECTION, Connections

_CALL_SECONDS = 30.0
_LENGTH_BYTES = 4

Call = Callable[[bytes], bytes]


def write_requests(path: Path, requests: list[bytes]) -> None:
    """Serialised requests, each behind its length."""
    path.write_bytes(b"".join(len(one).to_bytes(_LENGTH_BYTES, "little") + one for one in requests))


def read_requests(path: Path) -> list[bytes]:
    """Reads the file of :func:`write_requests`."""
    data, place, requests = path.read_bytes(), 0, list[bytes]()
    while place < len(data):
        size = int.from_bytes(data[place : place + _LENGTH_BYTES], "little")
        requests.append(data[place + _LENGTH_BYTES : place + _LENGTH_BYTES + size])
        place += _LENGTH_BYTES + size
    return requests


def run(call: Call, requests: list[bytes], in_flight: int, seconds: float) -> dict[str, object]:
    """Latencies in milliseconds of the calls that began in time, and the number that failed."""
    end = time.perf_counter() + seconds
    results: list[tuple[list[float], int]] = []
    # Every caller sends all requests, each from another starting point.
    places = [len(requests) * caller // in_flight for caller in range(in_flight)]
    parts = [requests[place:] + requests[:place] for place in places]
    threads = [threading.Thread(target=lambda part=part: results.append(_caller(call, part, end))) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    latencies = [latency for of_thread, _ in results for latency in of_thread]
    return {"latencies_ms": latencies, "failed": sum(failed for _, failed in results)}


def _caller(call: Call, requests: list[bytes], end: float) -> tuple[list[float], int]:
    latencies, failed = list[float](), 0
    for request in _forever(requests):
        started = time.perf_counter()
        if started >= end:
            break
        try:
            call(request)
        except grpc.RpcError:
            failed += 1
        latencies.append((time.perf_counter() - started) * 1000)
    return latencies, failed


def _forever(requests: list[bytes]) -> Iterator[bytes]:
    while True:
        yield from requests


def _call(address: str, method: str) -> Call:
    channels = [grpc.insecure_channel(address, options=[OWN_CONNECTION]) for _ in range(CONNECTIONS)]
    calls: list[Callable[..., bytes]] = [channel.unary_unary(method) for channel in channels]
    # The product's client does the same: several processes may share one address.
    connections = Connections(calls)

    def call(request: bytes) -> bytes:
        with connections.stub() as stub:
            return stub(request, timeout=_CALL_SECONDS, wait_for_ready=True)

    return call


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.harness.generator", description=__doc__)
    parser.add_argument("targets", type=Path, help="JSON: address, method and file of requests by name")
    calls = {}
    for name, target in json.loads(parser.parse_args().targets.read_text()).items():
        calls[name] = (_call(target["address"], target["method"]), read_requests(Path(target["requests"])))
    for line in sys.stdin:
        name, in_flight, seconds = line.split()
        call, requests = calls[name]
        print(json.dumps(run(call, requests, int(in_flight), float(seconds))), flush=True)


if __name__ == "__main__":
    main()
