"""``shortlist bundles pull`` and ``push``: copy a bundle from the place of training to the place of serving."""

import argparse
import contextlib
import functools
import signal
import time
from collections.abc import Iterator
from typing import NoReturn

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from shortlist.bundle.operations import Unproven
from shortlist.bundle.puller import Pulled, Puller
from shortlist.bundle.store import BundleStore
from shortlist.bundle.transfer import NothingPublished, push
from shortlist.commands.bundles_check import served_by_services
from shortlist.commands.command import fail
from shortlist.errors import BundleError, ShortlistError

EXIT_OLDER = 4
"""The source's current bundle was not taken, so an older one is current."""
_EXIT_TERMINATED = 128 + signal.SIGTERM
# The pause doubles after each error, but a source that recovers is found within a minute.
_LONGEST_PAUSE_SECONDS = 60.0
_MOST_DOUBLINGS = 16


def pull_bundle(arguments: argparse.Namespace, store: BundleStore) -> int:
    """Copies the current bundle of the source, once or repeatedly; returns the exit code."""
    with _ending_on_sigterm(_EXIT_TERMINATED if arguments.watch is None else 0), _Bar() as bar:
        check = functools.partial(served_by_services, public_key=arguments.bundle_public_key)
        puller = Puller(arguments.source, store, bar, keep=arguments.keep, check=check)
        if arguments.watch is not None:
            _watch(puller, store, arguments.watch)
        try:
            done = puller.pull()
        except (NothingPublished, BundleError) as nothing:
            # Without a verdict, there may be a usable bundle.
            if not arguments.or_none or isinstance(nothing, Unproven):
                raise
            print(f"nothing to copy: {nothing}", flush=True)
            return 0
        _report(done, store)
    accepted = done.refused is None or arguments.or_older or arguments.or_none
    return 0 if accepted else EXIT_OLDER


def push_bundle(arguments: argparse.Namespace, store: BundleStore) -> int:
    """Copies the current bundle to the destination; returns the exit code."""
    with _ending_on_sigterm(_EXIT_TERMINATED), _Bar() as bar:
        done = push(store, arguments.destination, bar)
    outcome = f"{decimal(done.copied)} copied and verified" if done.copied else "it was there, and is verified"
    state = "is current" if done.current else "is not current, because another is pinned,"
    print(f"{done.bundle_id} {state} at {arguments.destination}: {outcome}", flush=True)
    return 0


def _watch(puller: Puller, store: BundleStore, seconds: float) -> NoReturn:
    reported, failures = None, 0
    while True:
        pause = seconds
        try:
            done = puller.pull()
        except ShortlistError as error:
            pause = min(seconds * 2 ** min(failures, _MOST_DOUBLINGS), max(seconds, _LONGEST_PAUSE_SECONDS))
            failures += 1
            fail(f"{error}; next try in {pause:g} s")
        else:
            failures = 0
            if _news(done) != reported:
                _report(done, store)
            reported = _news(done)
        time.sleep(pause)


def _news(done: Pulled) -> tuple[object, ...]:
    return done.bundle_id, done.current, str(done.refused)


def _report(done: Pulled, store: BundleStore) -> None:
    if done.refused is not None:
        fail(f"{done.refused}; not taken, so {done.bundle_id} is current")
    outcome = f"{decimal(done.copied)} copied" if done.copied else "it was here"
    state = "is current" if done.current else f"is not current, because {store.pinned_id()} is pinned"
    removed = f"; removed {', '.join(done.removed)}" if done.removed else ""
    print(f"{done.bundle_id} {state}: {outcome}{removed}", flush=True)


@contextlib.contextmanager
def _ending_on_sigterm(exit_code: int) -> Iterator[None]:
    """Makes SIGTERM end the process with this code, after the block has removed unfinished files."""

    def end(*_: object) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(exit_code)

    former = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


class _Bar:
    """Draws a progress bar on a terminal, nothing elsewhere; see :class:`shortlist.bundle.transfer.Progress`."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, what: str, size: int) -> None:
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        self._progress.add_task(what, total=size)

    def advance(self, size: int) -> None:
        self._progress.advance(self._progress.task_ids[0], size)
