"""The server of every service: start → load → serve → drain."""

import contextlib
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue
from types import FrameType
from typing import NoReturn, Protocol

import grpc

from shortlist.errors import LoadError
from shortlist.observability.logs import announce, configure_logs
from shortlist.observability.settings import worker_listen
from shortlist.observability.tracing import configure_tracing
from shortlist.security.tls import server_credentials
from shortlist.serving.admission import AdmissionPool
from shortlist.serving.checking import EXIT_BUNDLE as EXIT_BUNDLE
from shortlist.serving.health import Health
from shortlist.serving.heartbeat import Heartbeat
from shortlist.serving.interceptor import interceptor
from shortlist.serving.loading import in_thread, is_loading
from shortlist.serving.memory import use_few_arenas
from shortlist.serving.ports import (
    CannotListen,
    Listening,
    health_server,
    listen_on,
    metrics_server,
    server_options,
)
from shortlist.serving.reflection import add_reflection
from shortlist.serving.settings import ServerSettings
from shortlist.serving.signals import stop_signals
from shortlist.serving.watchdog import Watchdog
from shortlist.serving.worker import SERVING, Worker
from shortlist.serving.workers import EXIT_CANNOT_LISTEN as EXIT_CANNOT_LISTEN

_LOG = logging.getLogger(__name__)
EXIT_STOPPED_SERVING = 4
_CHECK_SECONDS, _IDLE_CHECKS = 0.05, 10
_CUT_SECONDS = 1.0


class Loader(Protocol):
    """Loads the data that calls are answered from, such as a bundle, and follows its changes."""

    def load(self) -> None:
        """Loads the data before the first call.

        Raises:
            LoadError: it cannot be used.
        """

    def watching(self) -> AbstractContextManager[None]:
        """Follows changes while the block runs."""


def serve(
    *,
    settings: ServerSettings,
    service_names: Sequence[str],
    add_services: Callable[[grpc.Server], None],
    loader: Loader,
    worker: Worker | None = None,
) -> int:
    """Serves until SIGTERM, SIGINT or SIGHUP; runs in the main thread and logs to stderr.

    The port opens before the data is loaded, with health NOT_SERVING, so that probes can tell a loading server from a
    dead one. The services of ``add_services`` must answer UNAVAILABLE until ``loader`` has loaded. Announces
    ``listening on HOST:PORT`` and, once loaded, ``serving`` on stdout.

    After the signal, health says NOT_SERVING. New calls are accepted for ``drain_delay_seconds`` more, while clients
    and load balancers notice. Calls in flight then get ``drain_seconds``; a second signal cuts them at once. A
    ``worker`` shares its port with others.

    Returns:
        The exit code: 0 after a signal, 1 when a port is not available, 3 when ``loader`` raised ``LoadError``. When
        gRPC stops serving by itself, the process ends with 4.
    """
    use_few_arenas()
    configure_logs(json=settings.in_production)
    configure_tracing(settings.observability.trace_endpoint, service_names[0] if service_names else "shortlist")
    server = _Server(settings, service_names, add_services, worker)
    code = server.run(loader)
    if server.cut_calls or is_loading():
        # At exit Python joins the pool's threads, and the thread of a cut call may run for ever. Native code of a load
        # would end the process by SIGABRT.
        _exit_now(code)
    return code


def _exit_now(code: int) -> NoReturn:
    logging.shutdown()
    os._exit(code)


class _Interrupted(Exception):  # noqa: N818 - an outcome, not an error
    """A signal came during loading."""


class _StoppedServing(Exception):  # noqa: N818 - it is what happened
    """A serving thread of gRPC has ended or is blocked, and nothing can start it again."""


class _Server:
    def __init__(
        self,
        settings: ServerSettings,
        service_names: Sequence[str],
        add_services: Callable[[grpc.Server], None],
        worker: Worker | None,
    ) -> None:
        self._settings = settings
        self._worker = worker
        self._announce = worker.announce if worker else announce
        self._pool = AdmissionPool(settings.threads, settings.queue)
        self._heartbeat = Heartbeat(worker, self._pool) if worker else None
        self._calls = interceptor(settings.security, self._pool)
        self._health = Health(service_names)
        # A signal handler's put may interrupt a get in the same thread; only SimpleQueue allows that.
        self._signals: SimpleQueue[int] = SimpleQueue()
        self._serves = False
        self._never_started = 0
        self._closing = contextlib.ExitStack()
        self._watchdog = Watchdog(())
        self._grpc = self._build(service_names, add_services)

    @property
    def cut_calls(self) -> int:
        """The number of calls that had no time to finish; valid once the server has stopped."""
        return self._calls.in_flight

    def run(self, loader: Loader) -> int:
        with stop_signals(self._on_signal, in_worker=self._worker is not None), self._closing:
            try:
                try:
                    with contextlib.suppress(_Interrupted):
                        self._start(loader)
                    self._wait()
                finally:
                    self._drain()
            except CannotListen as error:
                _LOG.error("%s", error)
                return EXIT_CANNOT_LISTEN
            except LoadError as error:
                _LOG.error("%s", error)
                return EXIT_BUNDLE
            except _StoppedServing:
                _LOG.critical("gRPC has stopped serving; the process ends, for nothing can start it again")
                # Without its threads no server can be stopped either.
                _exit_now(EXIT_STOPPED_SERVING)
        return 0

    def _start(self, loader: Loader) -> None:
        if self._worker and self._worker.replaces:
            self._load(loader)
            self._listen()
        else:
            self._listen()
            self._load(loader)
        self._closing.enter_context(loader.watching())
        self._announce(SERVING)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.put(number)

    def _build(self, service_names: Sequence[str], add_services: Callable[[grpc.Server], None]) -> grpc.Server:
        options = server_options(shared=self._worker is not None)
        server = grpc.server(self._pool, interceptors=[self._calls], options=options)
        add_services(server)
        self._health.add_to(server)
        if not self._settings.in_production:
            add_reflection(server, service_names)
        return server

    def _listen(self) -> None:
        settings, shared, listening = self._settings, self._worker is not None, list[Listening]()
        number = self._worker.number if self._worker else 0
        if settings.observability.metrics_listen:
            self._closing.enter_context(metrics_server(worker_listen(settings.observability.metrics_listen, number)))
        if settings.health_listen:
            probes = health_server(self._health, settings.health_listen, shared=shared)
            listening.append(self._closing.enter_context(probes))
        listening.append(listen_on(self._grpc, settings.listen, server_credentials(settings.security)))
        self._watchdog = Watchdog([thread for one in listening for thread in one.threads])
        self._announce(f"listening on {listening[-1].address}")

    def _load(self, loader: Loader) -> None:
        # Python acts on a signal only between native calls of this thread, and one of those may never end.
        thread, loaded = in_thread("load", loader.load)
        while thread.is_alive():
            thread.join(_CHECK_SECONDS)
            if not self._signals.empty():
                raise _Interrupted
        loaded.result()
        # The loaded objects stay, so the garbage collector need not walk through them while calls are answered.
        gc.collect()
        gc.freeze()
        self._serves = True
        self._health.serves()

    def _wait(self) -> None:
        number = self._signal_within(float("inf"))
        assert number is not None
        _LOG.info(
            "%s: accepting new calls for %g s more; calls in flight then have %g s",
            signal.Signals(number).name,
            self._settings.drain_delay_seconds,
            self._settings.drain_seconds,
        )

    def _signal_within(self, seconds: float) -> int | None:
        """The next signal, or None when none comes within ``seconds``.

        Raises:
            _StoppedServing: meanwhile a serving thread of gRPC has ended, or was found blocked.
        """
        end = time.monotonic() + seconds
        while True:
            if self._heartbeat is not None:
                self._heartbeat.beat()
            # Short waits, for a signal just before a wait or to another thread does not end the wait.
            with contextlib.suppress(Empty):
                return self._signals.get(timeout=_CHECK_SECONDS)
            if not self._watchdog.is_serving:
                raise _StoppedServing
            if time.monotonic() >= end:
                return None

    def _drain(self) -> None:
        self._health.drains()
        if not self._watchdog.is_serving:
            # Nothing is left that could stop.
            return
        second = self._signal_within(self._settings.drain_delay_seconds) if self._serves else None
        if second is not None:
            # It cuts the calls in flight as well, below.
            self._signals.put(second)
        end, idle = time.monotonic() + self._settings.drain_seconds, 0
        stopped = self._stop_accepting()
        while self._watchdog.is_serving and not stopped.wait(_CHECK_SECONDS):
            if self._heartbeat is not None:
                self._heartbeat.beat_draining()
            # Watchers of the health never hang up, so an idle server stops itself. Several idle checks, since a call
            # may be between socket and pool, and an answer between pool and socket.
            idle = 0 if self._pool.admitted else idle + 1
            if idle == _IDLE_CHECKS or not self._signals.empty() or time.monotonic() >= end:
                self._never_started = self._pool.queued
                self._grpc.stop(None)
                break
        _LOG.info("stopped, %d calls cut", self.cut_calls + self._never_started)

    def _stop_accepting(self) -> threading.Event:
        """Refuses further calls; the result is set when all calls have ended."""
        try:
            # Longer than the drain, which counts the calls that it cuts.
            return self._grpc.stop(self._settings.drain_seconds + _CUT_SECONDS)
        except RuntimeError:
            # At the system's limit on threads gRPC cannot watch the time. By now it takes no calls.
            return threading.Event()
