"""Several processes on one port: each serves on its own, and the kernel spreads connections over them.

Workers are forked from a process that has only imported the libraries. It has no threads, since neither gRPC's threads
nor those of native libraries survive a fork. So workers share the pages of the libraries, and those of the bundle,
which they map. The parent loads no model: it keeps the port, replaces workers that end, and passes signals on.
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
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess

from shortlist.observability.logs import announce, configure_logs
from shortlist.serving.settings import ServerSettings
from shortlist.serving.shared_port import keep_port
from shortlist.serving.signals import stop_signals
from shortlist.serving.worker import BEAT_SECONDS, SERVING, Worker

_LOG = logging.getLogger(__name__)
EXIT_CANNOT_LISTEN = 1
# A worker that serves and says nothing for so long is stopped, deadlocked, or all its calls wait for ever.
_SILENT_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
# After so long without the end of a worker, the pause starts from the beginning.
_QUIET_SECONDS = 60.0


def supervise(settings: ServerSettings, package: str, arguments: Sequence[str]) -> int:
    """Runs ``settings.workers`` of ``python -m package arguments`` until a signal comes; runs in the main thread.

    ``main`` of ``package.__main__`` gets the arguments and a :class:`Worker`. Announces ``listening on HOST:PORT`` and,
    once all workers serve, ``serving`` on stdout. From then on a worker that ends is replaced, after a growing pause.

    Returns:
        The exit code: 0 after a signal, 1 when the port is not available, or that of a worker that ended too early.
    """
    configure_logs(json=settings.in_production)
    host, _, port = settings.listen.rpartition(":")
    try:
        kept = keep_port(host, int(port))
    except OSError as error:
        _LOG.error("cannot listen on %s: %s", settings.listen, error)
        return EXIT_CANNOT_LISTEN
    with kept, _signals() as signals:
        address = f"{host}:{kept.getsockname()[1]}"
        announce(f"listening on {address}")
        shared = [*arguments, "--listen", address, "--workers", "1"]
        return _Supervisor(package, shared, signals).run(settings.workers)


@dataclass(kw_only=True)
class _Running:
    process: ForkServerProcess
    number: int
    # None once the worker has ended.
    announcements: Connection | None
    serves: bool = False
    heard_at: float = field(default_factory=time.monotonic)

    def hear(self) -> None:
        """Reads one announcement."""
        assert self.announcements is not None
        try:
            self.serves |= self.announcements.recv() == SERVING
            self.heard_at = time.monotonic()
        except EOFError:
            self.announcements.close()
            self.announcements = None

    def kill_if_silent(self) -> None:
        """Kills the worker when it has been silent for too long."""
        if time.monotonic() - self.heard_at >= _SILENT_SECONDS and self.process.is_alive():
            _LOG.error("worker %d was silent for %g s, so it is killed", self.process.pid, _SILENT_SECONDS)
            self.process.kill()
            self.heard_at = time.monotonic()


class _Supervisor:
    def __init__(self, package: str, arguments: Sequence[str], signals: socket.socket) -> None:
        self._package, self._arguments, self._signals = package, arguments, signals
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([f"{package}.service"])
        _start_forkserver()
        self._running: list[_Running] = []
        # Workers to replace: the time of the start, and the number.
        self._starts: list[tuple[float, int]] = []
        self._pause, self._last_end = _FIRST_PAUSE, float("-inf")
        self._all_served = False
        self._woke_at = time.monotonic()

    def run(self, workers: int) -> int:
        for number in range(workers):
            self._start(number)
        while True:
            ready = self._wait()
            if self._signals in ready:
                _LOG.info("%s: the workers get SIGTERM", _name_of(self._signals.recv(1)))
                return self._stop()
            # A first load may take long, and its loader has its own limit.
            for worker in [worker for worker in self._running if worker.serves]:
                worker.kill_if_silent()
            if not self._all_served and not self._starts and all(one.serves for one in self._running):
                self._all_served = True
                announce(SERVING)
            for worker, ended_with in self._take_ended(ready):
                # The code of a signal in a shell.
                code = 128 - ended_with if ended_with < 0 else ended_with
                if not (worker.serves or self._all_served):
                    self._stop()
                    return code or 1
                self._replace_later(worker.number, code)
            self._start_due()

    def _wait(self) -> list[object]:
        """Waits for the next event, and hears the announcements."""
        sentinels = [worker.process.sentinel for worker in self._running]
        heard = [worker.announcements for worker in self._running if worker.announcements is not None]
        ready = wait([self._signals, *heard, *sentinels], self._until_next_look())
        now = time.monotonic()
        # This process was stopped itself, and its workers perhaps with it.
        overslept = now - self._woke_at > BEAT_SECONDS + _SILENT_SECONDS / 2
        for worker in self._running:
            if worker.announcements in ready:
                worker.hear()
            elif overslept:
                worker.heard_at = now
        self._woke_at = now
        return list(ready)

    def _until_next_look(self) -> float:
        starts = [start for start, _ in self._starts]
        return max(0.0, min([*starts, self._woke_at + BEAT_SECONDS]) - time.monotonic())

    def _start(self, number: int) -> None:
        ours, theirs = self._context.Pipe(duplex=False)
        arguments = (self._package, self._arguments, theirs, self._all_served, number)
        process = self._context.Process(target=_run, args=arguments)
        process.start()
        theirs.close()
        self._running.append(_Running(process=process, number=number, announcements=ours))

    def _take_ended(self, ready: Sequence[object]) -> list[tuple[_Running, int]]:
        """Takes ended workers off the list, each with its exit code: below 0 for a signal."""
        ended = [worker for worker in self._running if worker.process.sentinel in ready]
        for worker in ended:
            self._running.remove(worker)
            worker.process.join()
            if worker.announcements is not None:
                worker.announcements.close()
        return [(worker, worker.process.exitcode or 0) for worker in ended]

    def _replace_later(self, number: int, code: int) -> None:
        now = time.monotonic()
        if now - self._last_end > _QUIET_SECONDS:
            self._pause = _FIRST_PAUSE
        _LOG.error("a worker ended with code %d; another starts in %g s", code, self._pause)
        self._starts.append((now + self._pause, number))
        self._last_end, self._pause = now, min(self._pause * 2, _LONGEST_PAUSE)

    def _start_due(self) -> None:
        now = time.monotonic()
        due = [start for start in self._starts if start[0] <= now]
        for start in due:
            self._starts.remove(start)
            self._start(start[1])

    def _stop(self) -> int:
        """Ends all workers and returns the highest exit code; workers killed by a signal count as 0.

        Passes every further signal on: the second one cuts the calls in flight.
        """
        self._terminate()
        codes = [0]
        while self._running:
            ready = self._wait()
            if self._signals in ready:
                _LOG.info("%s: the workers get SIGTERM again", _name_of(self._signals.recv(1)))
                self._terminate()
            for worker in self._running:
                worker.kill_if_silent()
            codes += [code for _, code in self._take_ended(ready)]
        return max(codes)

    def _terminate(self) -> None:
        for worker in self._running:
            worker.process.terminate()
            # A worker that was loading has not been silent yet.
            worker.heard_at = time.monotonic()


def _run(package: str, arguments: Sequence[str], announcements: Connection, replaces: bool, number: int) -> None:
    # A terminal's Ctrl-C reaches the whole process group, and the parent passes it on anyway.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # A spawned process does not import a package's ``__main__`` by itself.
    main = importlib.import_module(f"{package}.__main__").main
    sys.exit(main(arguments, Worker(announce=announcements.send, replaces=replaces, number=number)))


def _start_forkserver() -> None:
    # A terminal that closes sends SIGHUP to the whole process group. The parent alone may act on it, so the others
    # inherit that they ignore it.
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGHUP, former)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    # Waits for the end of a pipe, which the system closes even when the parent is killed.
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _name_of(number: bytes) -> str:
    return signal.Signals(number[0]).name


@contextlib.contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket that receives the number of each SIGTERM, SIGINT and SIGHUP as a byte."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with stop_signals(lambda *_: None), ours, theirs:
        former = signal.set_wakeup_fd(theirs.fileno())
        try:
            yield ours
        finally:
            signal.set_wakeup_fd(former)
