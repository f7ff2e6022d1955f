"""Health checks as the kubelet makes them, each on a new connection, in a process of its own.

``python -m bench.hostile.prober OUT NAME=HOST:PORT…`` checks every port five times a second until SIGTERM, and then
writes OUT. Its rows are the checks: the begin (seconds since 1970), the latency (milliseconds) and the port, an index
into the arguments. The latency is infinite without a good answer.
"""

import argparse
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from shortlist.serving.health import LIVENESS
from testbed.http2 import FrameKind, Http2Connection

CHECK = "/grpc.health.v1.Health/Check"
_PERIOD_SECONDS, _TIMEOUT_SECONDS = 0.2, 2.0
_PREFIX_BYTES = 5
_Check = tuple[float, float, int]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile.prober", description=__doc__)
    parser.add_argument("out", type=Path, help="a .npy file")
    parser.add_argument("ports", nargs="+", metavar="NAME=HOST:PORT", help="a port to check")
    options = parser.parse_args()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    addresses = [port.partition("=")[2] for port in options.ports]
    with ThreadPoolExecutor(len(addresses)) as pool:
        probes = [pool.submit(_checks, address, place, stop) for place, address in enumerate(addresses)]
        print("checking", flush=True)
        # A wait without end would defer the signal.
        while not stop.wait(0.2):
            pass
        checks = [check for probe in probes for check in probe.result()]
    np.save(options.out, np.array(sorted(checks)))


def _checks(address: str, place: int, stop: threading.Event) -> list[_Check]:
    checks = list[_Check]()
    while not stop.is_set():
        begun, started = time.time(), time.perf_counter()
        good = is_serving(address)
        taken = time.perf_counter() - started
        checks.append((begun, taken * 1e3 if good else float("inf"), place))
        stop.wait(max(0.0, _PERIOD_SECONDS - taken))
    return checks


def is_serving(address: str) -> bool:
    """Whether a server says within two seconds that it lives, asked on a connection of its own."""
    request = HealthCheckRequest(service=LIVENESS).SerializeToString()
    try:
        with Http2Connection(address, timeout=_TIMEOUT_SECONDS) as connection:
            connection.call(CHECK, request)
            connection.flush()
            for frame in connection.frames(_TIMEOUT_SECONDS):
                if frame.kind == FrameKind.DATA:
                    answer = HealthCheckResponse.FromString(frame.payload[_PREFIX_BYTES:])
                    return answer.status == HealthCheckResponse.SERVING
    except OSError:
        return False
    return False


if __name__ == "__main__":
    main()
