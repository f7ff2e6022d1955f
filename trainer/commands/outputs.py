"""The outputs of the commands: the checks before the training, the figures and the page."""

import argparse
import contextlib
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shortlist.bundle.json_text import json_text
from shortlist.bundle.signature import check_private_key
from shortlist.errors import BundleError
from trainer.analysis.tables import figures_table
from trainer.data import Dataset
from trainer.errors import TrainerError
from trainer.files import write_text
from trainer.progress import Reporter
from trainer.report.findings import Findings, Measured
from trainer.report.verdict import Verdict, verdict

PAGE = ".html"


def add_report(parser: argparse.ArgumentParser, help: str) -> None:
    """Adds ``--report``."""
    parser.add_argument("--report", type=Path, metavar="FILE", help=help)


def check_folder(flag: str, folder: Path) -> None:
    """Raises TrainerError when no files can be made in the folder, or it can not be made itself."""
    with _named(flag, folder):
        if folder.exists() and not folder.is_dir():
            raise TrainerError(f"{flag} {folder}: is a file; a folder is needed")
        _check_writable(folder)


def check_file(flag: str, path: Path) -> None:
    """Raises TrainerError when the file can neither be made nor replaced."""
    with _named(flag, path):
        if path.is_dir():
            raise TrainerError(f"{flag} {path}: is a folder; name a file")
        if not path.exists() or path.is_file():
            _check_writable(path.resolve().parent)


def check_report(path: Path | None, *, with_page: bool = False) -> None:
    """Raises TrainerError when ``--report`` cannot be written, or the page beside it would take its place."""
    if path is None:
        return
    check_file("--report", path)
    if with_page:
        if path.suffix == PAGE:
            raise TrainerError(f"--report {path}: the page for people gets this name; end the name with .json")
        check_file("--report", path.with_suffix(PAGE))


def check_key(path: Path | None) -> None:
    """Raises TrainerError when ``--sign-key`` is no private key that can sign."""
    if path is None:
        return
    try:
        check_private_key(path)
    except BundleError as error:
        raise TrainerError(f"--sign-key {error}") from error


@contextlib.contextmanager
def _named(flag: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f" {error.filename}:" if error.filename else ""
        raise TrainerError(f"{flag} {path}: cannot be written:{where} {error.strerror}") from error


def _check_writable(folder: Path) -> None:
    """Makes a file without a name in the folder, or in the nearest one above it that exists. Raises OSError."""
    nearest = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        # The name of the temporary file says nothing to anybody.
        raise OSError(error.errno, error.strerror, str(nearest)) from error


def say_verdict(found: Measured, reporter: Reporter) -> Verdict:
    """Says the comparison with the strongest baseline; a warning when that is better than the models."""
    told = verdict(found)
    tell = reporter.warn if told.mood == "bad" else reporter.say
    tell(f"{told.headline}: {told.detail}")
    return told


def say_by_event(found: Findings, reporter: Reporter) -> None:
    """Says the figures on the questions about each kind of event, where there are several kinds."""
    for kind, spread in found.by_event.items():
        reporter.say(f"finds the {kind}: {found.groups.by_event[kind]:,} questions\n{figures_table(spread)}")


def page_title(options: argparse.Namespace) -> str:
    """The recipe and the data by name."""
    return f"{options.recipe.stem} on {options.data.resolve().name}"


def page_facts(options: argparse.Namespace, dataset: Dataset, started: float, **measured: str) -> dict[str, str]:
    """The facts at the top of a page: the data, the ``measured`` protocol, seeds and so on, and the cost."""
    counts, spent = dataset.counts, cost(started)
    return {
        "data": options.data.resolve().name,
        "interactions": f"{counts.interactions:,}",
        "users": f"{counts.users:,}",
        "items": _items(dataset),
        **({"lists leave out": ", ".join(dataset.seen_events.names)} if dataset.seen_events.names else {}),
        **{name.replace("_", " "): value for name, value in measured.items()},
        "seconds": f"{spent['seconds']:,.0f}",
        "peak memory": f"{spent['peak_rss_mb']:,.0f} MB",
        "made": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def _items(dataset: Dataset) -> str:
    listed = int(dataset.listed.sum())
    return f"{dataset.counts.items:,}" + (f", {listed:,} in lists" if listed < dataset.counts.items else "")


def cost(started: float) -> dict[str, float]:
    """Seconds since ``started``, a time of the monotonic clock, and the peak memory of this process in MB."""
    peak_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": round(time.monotonic() - started, 1), "peak_rss_mb": round(peak_kilobytes / 1024)}


def write_report(path: Path | None, report: dict[str, Any]) -> None:
    """Writes the figures as JSON, if there is a path."""
    if path is not None:
        write_text(path, json_text(report))


def write_page(report: Path, page: str) -> None:
    """Writes a page beside the JSON of its figures."""
    write_text(report.with_suffix(PAGE), page)
