"""The outputs of the commands: the figures and the page."""

import argparse
import resource
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shortlist.bundle.json_text import json_text
from trainer.analysis.tables import figures_table
from trainer.data import Dataset
from trainer.files import PAGE, write_text
from trainer.progress import Reporter
from trainer.report.findings import Findings, Measured
from trainer.report.verdict import Verdict, verdict


def conclude_verdict(found: Measured, reporter: Reporter) -> Verdict:
    """Ends with the comparison with the strongest baseline; a warning as well when that is better than the models."""
    told = verdict(found)
    if told.mood == "bad":
        reporter.warn(f"{told.headline}: {told.detail}")
    # The warnings stand directly above it.
    reporter.conclude(told.headline if told.mood == "bad" else f"{told.headline}: {told.detail}")
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
