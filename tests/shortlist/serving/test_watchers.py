"""Watchers of the health, honest and not: none of them keeps the server from anybody."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import signal
import threading
import time

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from shortlist.client.connections import OWN_CONNECTION
from testbed.http2 import FrameKind, Http2Connection
from tests.support.server_process import Run

WATCH, READY = "/grpc.health.v1.Health/Watch", HealthCheckRequest(service="readiness")
# The bytes of one state: gRPC's prefix and the message.
ONE_STATE = 7


def test_watches_that_begin_and_end_stop_no_server(run: Run) -> None:
    """Proves that the end of a watch does not wait for news to another one, which would wait for it in turn."""
    server = run()
    server.expect("serving")

    def watch() -> None:
        with grpc.insecure_channel(server.target, options=[OWN_CONNECTION]) as channel:
            for _ in range(10):
                watches = [HealthStub(channel).Watch(READY, timeout=20) for _ in range(5)]  # type: ignore[attr-defined]
                for one in watches:
                    assert next(one).status == HealthCheckResponse.SERVING
                    one.cancel()

    watching = [threading.Thread(target=watch) for _ in range(4)]
    for thread in watching:
        thread.start()
    for thread in watching:
        thread.join()
    assert server.health("readiness") == HealthCheckResponse.SERVING


def test_a_watcher_that_reads_nothing_keeps_others_from_nothing(run: Run) -> None:
    """Proves that a watch may end while the first news of another one is not read, and the server answers on."""
    server = run()
    server.expect("serving")
    request = READY.SerializeToString()
    for _ in range(5):
        with Http2Connection(server.target) as reading, Http2Connection(server.target, window=0) as mute:
            stream = reading.call(WATCH, request)
            reading.flush()
            assert any(frame.kind == FrameKind.DATA for frame in reading.frames(3))
            mute.call(WATCH, request)
            mute.flush()
            time.sleep(0.03)
            reading.reset(stream)
            reading.flush()
            assert server.health("readiness") == HealthCheckResponse.SERVING


def test_watchers_that_do_not_read_the_last_news_keep_no_server_alive(run: Run) -> None:
    """Proves that a drain ends in its time, and that an honest watcher still learns of it."""
    server = run(drain_delay_seconds=2, drain_seconds=2)
    server.expect("serving")
    request = READY.SerializeToString()
    with Http2Connection(server.target, window=ONE_STATE) as mute:
        for _ in range(5):
            mute.call(WATCH, request)
        mute.flush()
        assert any(frame.kind == FrameKind.DATA for frame in mute.frames(1))
        news = HealthStub(server.channel).Watch(READY, timeout=20)  # type: ignore[attr-defined]
        assert next(news).status == HealthCheckResponse.SERVING
        server.popen.send_signal(signal.SIGTERM)
        assert next(news).status == HealthCheckResponse.NOT_SERVING
        assert server.popen.wait(10) == 0
