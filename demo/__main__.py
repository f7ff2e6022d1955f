"""``python -m demo``: trains on MovieLens-100K, serves the model, and prints recommendations."""

import argparse
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from demo.movielens import get_movielens, titles
from demo.showcase import print_figures, print_grpcurl, show_hidden, show_live, show_people
from shortlist.bundle.json_text import json_text
from testbed.services import Service, start_both

BUILD = Path("build") / "demo"
RECIPE = Path("trainer") / "recipes" / "movielens.toml"
REPORT = BUILD / "report.json"
EVENTS = "events.sqlite"


def main() -> int:
    """Runs the demo; returns the exit code of the first step that fails, else 0."""
    argparse.ArgumentParser(prog="python -m demo", description=__doc__).parse_args()
    console = Console()
    BUILD.mkdir(parents=True, exist_ok=True)
    console.rule("MovieLens-100K")
    folder = get_movielens(BUILD / "movielens")
    started = time.monotonic()
    console.rule("Training")
    bundles = BUILD / "bundles"
    command = [sys.executable, "-m", "trainer", "fit", "--recipe", str(RECIPE), "--data", str(folder)]
    # --force: the new bundle is served even if it is worse than one of an earlier demo.
    command += ["--out", str(bundles), "--report", str(REPORT), "--publish", "--force"]
    code = subprocess.run(command, check=False).returncode
    if code:
        return code
    with (
        _live_service() as live,
        start_both(bundles, BUILD, retrieval=["--live", live.address], ranking=["--live", live.address]) as services,
    ):
        console.rule("Recommendations, over gRPC")
        show_people(console, services.ranking.address, folder, titles(folder))
        show_live(console, live.address, services.ranking.address, titles(folder))
        show_hidden(console, live.address, services.ranking.address, titles(folder))
        report = _complete_report(started)
        console.rule("Offline figures, on the last tenth of the events")
        print_figures(console, report)
        console.rule("Try it")
        print_grpcurl(console, services.retrieval.address, services.ranking.address, live.address)
        if _keeps_serving():
            console.print("Serving until Ctrl-C.")
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
    return 0


def _live_service() -> Service:
    """A live service without events of an earlier demo."""
    for path in BUILD.glob(f"{EVENTS}*"):
        path.unlink()
    return Service.start("live_service", ["--store", str(BUILD / EVENTS)], BUILD / "live.log")


def _complete_report(started: float) -> dict[str, object]:
    """Adds the demo's seconds without downloads, and the memory of its largest process, to the report."""
    report: dict[str, object] = json.loads(REPORT.read_text())
    largest = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    report |= {"seconds": round(time.monotonic() - started, 1), "peak_rss_mb": round(largest / 1024)}
    REPORT.write_text(json_text(report))
    return report


def _keeps_serving() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("KEEP") != "0"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
