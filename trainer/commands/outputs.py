"""The figures and the page that commands write."""

import argparse
import json
import resource
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainer.data import Dataset


def add_report(parser: argparse.ArgumentParser, help: str) -> None:
    """Adds ``--report``."""
    parser.add_argument("--report", type=Path, metavar="FILE", help=help)


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
        "items": f"{counts.items:,}",
        **{name.replace("_", " "): value for name, value in measured.items()},
        "seconds": f"{spent['seconds']:,.0f}",
        "peak memory": f"{spent['peak_rss_mb']:,.0f} MB",
        "made": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def cost(started: float) -> dict[str, float]:
    """Seconds since ``started``, a time of the monotonic clock, and the peak memory of this process in MB."""
    peak_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": round(time.monotonic() - started, 1), "peak_rss_mb": round(peak_kilobytes / 1024)}


def write_report(path: Path | None, report: dict[str, Any]) -> None:
    """Writes the figures as JSON, if there is a path."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def write_page(report: Path, page: str) -> None:
    """Writes a page beside the JSON of its figures."""
    report.with_suffix(".html").write_text(page, encoding="utf-8")
