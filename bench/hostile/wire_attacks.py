"""Attacks below the calls: half-open streams, unread answers, and floods of frames and connections.

Each runs until ``end``, in the seconds of ``time.monotonic``, and returns the number of things that it sent. Rates are
bounded. Without bounds, an attack would hurt by taking the processor of a machine that it shares with the services.
"""

import contextlib
import random
import socket
import time
from collections.abc import Callable, Iterator

from bench.hostile.prober import CHECK
from bench.hostile.targets import BATCH_RETRIEVE, RECOMMEND, RETRIEVE, Targets
from shortlist.limits import MAX_LIMIT
from shortlist.ranking.v1.ranking_service_pb2 import RecommendRequest
from shortlist.retrieval.v1.retrieval_service_pb2 import BatchRetrieveRequest, RetrieveRequest
from testbed.http2 import Frame, FrameKind, Http2Connection

_BATCH = 20
_IDLE, _SLOW = 500, 100
_SEND_SECONDS = 0.5


def half_open_checks(targets: Targets, end: float) -> int:
    """64 health checks without a message on each port, and as many more every second."""
    ports = (targets.ranking_probes, targets.ranking, targets.retrieval_probes, targets.retrieval)
    return _half_open(dict.fromkeys(ports, CHECK), 64, end)


def half_open_calls(targets: Targets, end: float) -> int:
    """128 calls without a message on each service, and as many more every second."""
    return _half_open({targets.ranking: RECOMMEND, targets.retrieval: RETRIEVE}, 128, end)


def unread_answers(targets: Targets, end: float) -> int:
    """Large answers that are never read, of 50 calls of ranking and 5 batches of retrieval a second."""
    batch = BatchRetrieveRequest(requests=[RetrieveRequest(limit=MAX_LIMIT)] * _BATCH).SerializeToString()
    recommend = RecommendRequest(limit=MAX_LIMIT).SerializeToString()
    ranking, retrieval = _Reconnecting(targets.ranking, window=0), _Reconnecting(targets.retrieval, window=0)
    sent = 0
    with ranking, retrieval:
        for _ in paced(5, end):
            ranking.send(lambda connection: [connection.call(RECOMMEND, recommend) for _ in range(10)])
            retrieval.send(lambda connection: connection.call(BATCH_RETRIEVE, batch))
            sent += 11
    return sent


def resets(targets: Targets, end: float) -> int:
    """3,000 calls a second on one connection, each cancelled at once."""
    message = RecommendRequest(limit=10).SerializeToString()

    def call_and_reset(connection: Http2Connection) -> None:
        for _ in range(30):
            connection.reset(connection.call(RECOMMEND, message))

    with _Reconnecting(targets.ranking) as connection:
        return 30 * sum(connection.send(call_and_reset) for _ in paced(100, end))


def pings_and_settings(targets: Targets, end: float) -> int:
    """5,000 PING and 1,000 SETTINGS frames a second, whose acknowledgements are never read."""

    def flood(connection: Http2Connection) -> None:
        for _ in range(50):
            connection.ping()
        for _ in range(10):
            connection.settings()

    with _Reconnecting(targets.ranking) as ranking, _Reconnecting(targets.ranking_probes) as probes:
        return 30 * sum(ranking.send(flood) + probes.send(flood) for _ in paced(50, end))


def idle_connections(targets: Targets, end: float) -> int:
    """500 connections that say nothing: half of them not even the preface of HTTP/2."""
    with contextlib.ExitStack() as opened:
        for place in range(_IDLE):
            port = (targets.ranking, targets.ranking_probes)[place % 2]
            with contextlib.suppress(OSError):
                if place % 4 < 2:
                    opened.enter_context(Http2Connection(port))
                else:
                    opened.enter_context(_connected(port))
        time.sleep(max(0.0, end - time.monotonic()))
    return _IDLE


def slow_metrics(targets: Targets, end: float) -> int:
    """100 connections to Prometheus's port that send a byte of their request every second."""
    sent = 0
    with contextlib.ExitStack() as opened:
        connections = list[socket.socket]()
        while len(connections) < _SLOW and time.monotonic() < end:
            # The server may leave connections in its backlog, or refuse them.
            with contextlib.suppress(OSError):
                connection = opened.enter_context(_connected(targets.ranking_metrics))
                connections.append(connection)
                connection.sendall(b"GET /metrics HTTP/1.1\r\nX-Slow: ")
                sent += 1
        for _ in paced(1, end):
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.sendall(b"x")
                    sent += 1
    return sent


def malformed_bytes(targets: Targets, end: float) -> int:
    """100 times a second: messages, frames and protocols that no client sends."""
    chance = random.Random(5)  # noqa: S311 - seeded, so that a run can be repeated
    broken = (
        lambda connection: connection.call(RECOMMEND, chance.randbytes(200)),
        lambda connection: connection.call("/no.such.Service/Method", b""),
        lambda connection: connection.call(RECOMMEND, RecommendRequest(limit=-1).SerializeToString()),
        # A length of 4 GB before three bytes.
        lambda connection: connection.add(
            Frame(kind=FrameKind.DATA, stream=connection.open(RECOMMEND), payload=b"\0\xff\xff\xff\xffabc")
        ),
        lambda connection: connection.add(Frame(kind=FrameKind.HEADERS, flags=5, stream=2, payload=b"\xff" * 20)),
        lambda connection: connection.add(Frame(kind=FrameKind.WINDOW_UPDATE, payload=b"\0\0\0\0")),
        lambda connection: connection.add(Frame(kind=99, payload=chance.randbytes(50))),
    )
    foreign = (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0" * 100)
    sent = 0
    with _Reconnecting(targets.ranking) as ranking, _Reconnecting(targets.retrieval) as retrieval:
        for place, _ in enumerate(paced(100, end)):
            sent += (ranking, retrieval)[place % 2].send(broken[place % len(broken)])
            if place % 10 == 0:
                with contextlib.suppress(OSError), _connected(targets.ranking) as connection:
                    connection.sendall(foreign[place // 10 % len(foreign)])
                    sent += 1
    return sent


def paced(rate: float, end: float) -> Iterator[None]:
    """Comes back so many times a second until ``end``; times that were missed are left out."""
    while (now := time.monotonic()) < end:
        yield
        time.sleep(max(0.0, min(end, now + 1 / rate) - time.monotonic()))


def _half_open(methods: dict[str, str], count: int, end: float) -> int:
    sent = 0
    with contextlib.ExitStack() as opened:
        for _ in paced(1, end):
            for port, method in methods.items():
                with contextlib.suppress(OSError):
                    connection = opened.enter_context(Http2Connection(port))
                    for _ in range(count):
                        connection.open(method)
                    connection.flush()
                    sent += count
    return sent


class _Reconnecting:
    """A connection that is made again when the server has closed it."""

    def __init__(self, address: str, *, window: int | None = None) -> None:
        self._address, self._window = address, window
        self._connection: Http2Connection | None = None

    def send(self, add: Callable[[Http2Connection], object]) -> bool:
        """Sends the frames that ``add`` adds; whether the server took them."""
        try:
            if self._connection is None:
                self._connection = Http2Connection(self._address, window=self._window, timeout=_SEND_SECONDS)
            add(self._connection)
            self._connection.flush()
        except OSError:
            self.__exit__()
            return False
        return True

    def __enter__(self) -> "_Reconnecting":
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _connected(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=_SEND_SECONDS)
