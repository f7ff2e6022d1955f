"""Several processes on one port: each serves by itself, and the kernel spreads the connections over them.

They are spawned, for neither gRPC nor the threads of native libraries outlive a fork. What they map from the bundle,
they share. The parent holds no model: it keeps the port, starts what ends, and passes signals on.
"""

import contextlib
import importlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from shortlist.settings import ServerSettings

_LOG = logging.getLogger(__name__)
EXIT_CANNOT_LISTEN = 1
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
SERVING = "serving"


def supervise(settings: ServerSettings, package: str, arguments: Sequence[str]) -> int:
    """Runs ``settings.workers`` of ``python -m package arguments`` until a signal comes; from the main thread.

    Prints ``listening on HOST:PORT`` and, once all of them serve, ``serving``.

    Returns:
        The exit code: 0 after a signal, 1 when the port is not to be had, that of a worker that ended before it served.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    host, _, port = settings.listen.rpartition(":")
    try:
        kept = _keep_port(host, int(port))
    except OSError as error:
        _LOG.error("cannot listen on %s: %s", settings.listen, error)
        return EXIT_CANNOT_LISTEN
    with kept, _signals() as signals:
        address = f"{host}:{kept.getsockname()[1]}"
        print(f"listening on {address}", flush=True)
        shared = [*arguments, "--listen", address, "--workers", "1"]
        return _Supervisor(settings, package, shared, signals).run()


@dataclass(kw_only=True)
class _Worker:
    process: SpawnProcess
    announcements: Connection
    serves: bool = False


@dataclass(kw_only=True)
class _Place:
    """Where a worker runs, or waits to be started again."""

    worker: _Worker | None
    pause: float = _FIRST_PAUSE
    start_at: float = field(default=0.0)


class _Supervisor:
    def __init__(
        self, settings: ServerSettings, package: str, arguments: Sequence[str], signals: socket.socket
    ) -> None:
        self._package, self._arguments, self._signals = package, arguments, signals
        self._context = multiprocessing.get_context("spawn")
        self._places = [_Place(worker=self._start()) for _ in range(settings.workers)]
        self._announced = False

    def run(self) -> int:
        while True:
            ready = wait(self._watched(), self._until_next_start())
            if self._signals in ready:
                self._signals.recv(64)
                return self._stop()
            for place in self._places:
                self._hear(place, ready)
                if place.worker is not None and not place.worker.process.is_alive():
                    code = place.worker.process.exitcode
                    if not place.worker.serves and not self._announced:
                        self._stop()
                        return code or 1
                    self._pause(place, code)
                elif place.worker is None and time.monotonic() >= place.start_at:
                    place.worker = self._start()

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_run, args=(self._package, self._arguments, theirs))
        process.start()
        theirs.close()
        return _Worker(process=process, announcements=ours)

    def _watched(self) -> list[Any]:
        workers = [place.worker for place in self._places if place.worker is not None]
        heard = [worker.announcements for worker in workers if not worker.serves]
        return [self._signals, *heard, *(worker.process.sentinel for worker in workers)]

    def _until_next_start(self) -> float | None:
        starts = [place.start_at for place in self._places if place.worker is None]
        return max(0.0, min(starts) - time.monotonic()) if starts else None

    def _hear(self, place: _Place, ready: Sequence[object]) -> None:
        worker = place.worker
        if worker is None or worker.announcements not in ready:
            return
        # What has ended has closed its end of the pipe.
        with contextlib.suppress(EOFError):
            if worker.announcements.recv() == SERVING:
                worker.serves = True
                place.pause = _FIRST_PAUSE
        if not self._announced and all(one.worker is not None and one.worker.serves for one in self._places):
            self._announced = True
            print(SERVING, flush=True)

    def _pause(self, place: _Place, code: int | None) -> None:
        _LOG.error("a worker ended with code %s, another starts in %g s", code, place.pause)
        place.worker, place.start_at = None, time.monotonic() + place.pause
        place.pause = min(place.pause * 2, _LONGEST_PAUSE)

    def _stop(self) -> int:
        """Passes a signal on, and each one that comes until all have ended: the second cuts the calls in flight."""
        processes = [place.worker.process for place in self._places if place.worker is not None]
        while True:
            for process in processes:
                process.terminate()
            alive = [process.sentinel for process in processes if process.is_alive()]
            while alive and self._signals not in wait([self._signals, *alive]):
                alive = [process.sentinel for process in processes if process.is_alive()]
            if not alive:
                return max((process.exitcode or 0 for process in processes), default=0)
            self._signals.recv(64)


def _run(package: str, arguments: Sequence[str], announcements: Connection) -> None:
    # A terminal's Ctrl-C reaches the whole group, and the parent passes it on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Spawned processes do not import the ``__main__`` of a package by themselves.
    main = importlib.import_module(f"{package}.__main__").main
    sys.exit(main(arguments, announcements.send))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _keep_port(host: str, port: int) -> socket.socket:
    """A socket that is bound and does not listen: the port stays ours while workers come and go.

    Raises:
        OSError: somebody else has the port, be it with SO_REUSEPORT.
    """
    family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, socket.SOCK_STREAM) as alone:
        alone.bind(address)
        address = alone.getsockname()
    kept = socket.socket(family, socket.SOCK_STREAM)
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    kept.bind(address)
    return kept


@contextlib.contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket that has a byte for each SIGTERM and SIGINT."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    numbers = (signal.SIGTERM, signal.SIGINT)
    former = {number: signal.signal(number, lambda *_: None) for number in numbers}
    descriptor = signal.set_wakeup_fd(theirs.fileno())
    try:
        with ours, theirs:
            yield ours
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in former.items():
            signal.signal(number, handler)
