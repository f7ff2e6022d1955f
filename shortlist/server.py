"""The server shell that both services run in: startup → load → serve → shutdown."""

import contextlib
import gc
import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from types import FrameType

import grpc
from grpc_health.v1 import health
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection

from shortlist.errors import BundleError
from shortlist.interceptor import ErrorInterceptor
from shortlist.settings import ServerSettings
from shortlist.workers import EXIT_CANNOT_LISTEN as EXIT_CANNOT_LISTEN
from shortlist.workers import SERVING, Worker

_LOG = logging.getLogger(__name__)
EXIT_BUNDLE = 3
_MAX_MESSAGE_BYTES = 4 * 1024 * 1024
_SIGNAL_CHECK_SECONDS = 0.05
# A connection stays with the worker that took it, and the kernel gives them out by chance: they are made anew now and
# then, so that no worker keeps more than its share.
_SPREAD_AGAIN = [("grpc.max_connection_age_ms", 60_000), ("grpc.max_connection_age_grace_ms", 30_000)]


def serve(
    *,
    settings: ServerSettings,
    service_names: Sequence[str],
    add_services: Callable[[grpc.Server], None],
    load: Callable[[], None],
    worker: Worker | None = None,
) -> int:
    """Serves until SIGTERM or SIGINT, from the main thread; logs to stderr.

    The port opens first, with health NOT_SERVING, so that a prober can tell a server that loads from a dead one; what
    ``add_services`` added has to answer UNAVAILABLE until ``load`` has returned. Prints ``listening on HOST:PORT`` and,
    once loaded, ``serving`` to stdout. A second signal ends the calls in flight at once. A ``worker`` shares its port
    with others.

    Returns:
        The exit code: 0 after a signal, 1 when the port is not to be had, 3 when ``load`` raised ``BundleError``.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    server = _Server(settings, service_names, add_services, worker)
    code = server.run(load)
    if server.cut_calls:
        # Python joins the pool's threads when it exits, and that of a cut call runs on for as long as it likes.
        logging.shutdown()
        os._exit(code)
    return code


class _Interrupted(BaseException):
    """A signal came while the bundle was being loaded. Not an ``Exception``, for no loader may handle it."""


class _CannotListen(Exception):  # noqa: N818 - it is what happened
    """The port is not to be had."""


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
        self._announce = worker.announce if worker else lambda text: print(text, flush=True)
        self._errors = ErrorInterceptor()
        self._health = health.HealthServicer()
        self._names = (health.OVERALL_HEALTH, *service_names)
        # The one queue whose put may interrupt its own get, as a signal handler's does.
        self._signals: SimpleQueue[int] = SimpleQueue()
        self._loading = False
        self._grpc = self._build(service_names, add_services)

    @property
    def cut_calls(self) -> int:
        """Once stopped: how many calls had no time to finish."""
        return self._errors.in_flight

    def run(self, load: Callable[[], None]) -> int:
        with self._captured_signals():
            try:
                with contextlib.suppress(_Interrupted):
                    self._start(load)
                self._wait()
            except _CannotListen as error:
                _LOG.error("cannot listen on %s: %s", self._settings.listen, error)
                return EXIT_CANNOT_LISTEN
            except BundleError as error:
                _LOG.error("%s", error)
                return EXIT_BUNDLE
            finally:
                self._shut_down()
        return 0

    def _start(self, load: Callable[[], None]) -> None:
        # A fresh HealthServicer says SERVING.
        self._set_health(HealthCheckResponse.NOT_SERVING)
        if self._worker and self._worker.replaces:
            self._load(load)
            self._listen()
        else:
            self._listen()
            self._load(load)
        self._announce(SERVING)

    @contextlib.contextmanager
    def _captured_signals(self) -> Iterator[None]:
        # A worker hears of a terminal's Ctrl-C from its parent.
        numbers = [signal.SIGTERM] if self._worker else [signal.SIGTERM, signal.SIGINT]
        former = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.put(number)
        if self._loading:
            self._loading = False
            raise _Interrupted

    def _build(self, service_names: Sequence[str], add_services: Callable[[grpc.Server], None]) -> grpc.Server:
        server = grpc.server(
            ThreadPoolExecutor(self._settings.threads, thread_name_prefix="call"),
            interceptors=[self._errors],
            options=[
                # A forgotten server must not take every other call of the new one; workers share by intention.
                ("grpc.so_reuseport", 1 if self._worker else 0),
                *(_SPREAD_AGAIN if self._worker else []),
                ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
            ],
        )
        add_services(server)
        add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection([*service_names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
        return server

    def _listen(self) -> None:
        try:
            port = self._grpc.add_insecure_port(self._settings.listen)
            self._grpc.start()
        except RuntimeError as error:
            raise _CannotListen(error) from error
        self._announce(f"listening on {self._settings.listen.rpartition(':')[0]}:{port}")

    def _load(self, load: Callable[[], None]) -> None:
        try:
            self._loading = True
            load()
        finally:
            self._loading = False
        # What is loaded by now stays: the collector need not walk through it again and again while calls are answered.
        gc.collect()
        gc.freeze()
        self._set_health(HealthCheckResponse.SERVING)

    def _wait(self) -> None:
        number = self._signals.get()
        _LOG.info("%s: the calls in flight have %g s", signal.Signals(number).name, self._settings.drain_seconds)

    def _shut_down(self) -> None:
        self._health.enter_graceful_shutdown()
        stopped = self._grpc.stop(self._settings.drain_seconds)
        while not stopped.wait(_SIGNAL_CHECK_SECONDS):
            if not self._signals.empty():
                self._grpc.stop(None)
        _LOG.info("stopped, %d calls cut", self.cut_calls)

    def _set_health(self, status: int) -> None:
        for name in self._names:
            self._health.set(name, status)
