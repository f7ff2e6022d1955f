"""``python -m bench.quality DATA``: measures the rows of docs/quality.md for the data set in a folder.

``bench/quality/rows.toml`` lists the rows. Each row is a run of ``python -m trainer evaluate``, whose report becomes
``build/quality/<data>-<protocol>.json``.
"""

import argparse
import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.harness.machine import machine
from bench.harness.processes import write_json

BUILD = Path("build") / "quality"
_ROWS = Path(__file__).with_name("rows.toml")
ERRORS = frozenset({"rmse", "mae"})
_RECIPES = Path("trainer") / "recipes"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table: figures of ``model``, as means over ``seeds`` runs.

    ``must`` and ``aim`` are bounds for the ``metrics``; with a ``baseline``, they are multiples of its figures. Metrics
    in ``ERRORS`` have upper bounds, all others lower bounds.
    """

    data: str
    protocol: str
    recipe: str
    metrics: tuple[str, ...]
    must: tuple[float, ...]
    published: str
    aim: tuple[float, ...] = ()
    baseline: str = ""
    model: str = "retrieval"
    seeds: int = 3

    @property
    def result(self) -> Path:
        """The file of its figures."""
        return BUILD / f"{self.data}-{self.protocol}.json"

    def measured(self) -> dict[str, Any] | None:
        """The latest figures. A file named by the data alone counts for its own protocol."""
        for path in (self.result, BUILD / f"{self.data}.json"):
            found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
            if found.get("protocol") == self.protocol:
                return found
        return None

    def command(self, data: str, seeds: int) -> list[str]:
        """The arguments of Python that measure it."""
        recipe = (_RECIPES / f"{self.recipe}.toml").as_posix()
        given = ["--recipe", recipe, "--protocol", self.protocol, "--data", data, "--seeds", str(seeds)]
        return ["-m", "trainer", "evaluate", *given]


def rows() -> list[Row]:
    """All rows, in the table's order."""
    listed: list[dict[str, Any]] = tomllib.loads(_ROWS.read_text(encoding="utf-8"))["row"]
    return [Row(**{key: _frozen(value) for key, value in one.items()}) for one in listed]


def _frozen(value: Any) -> Any:  # noqa: ANN401 - any value of TOML
    return tuple(value) if isinstance(value, list) else value


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality", description=__doc__)
    parser.add_argument("data", type=Path, help="the folder of a data set, such as ../shared/data/ml-100k")
    parser.add_argument("--seeds", type=int, help="number of seeds, from 0 (default: the row's)")
    parser.add_argument("--protocol", help="only the row of this protocol (default: all)")
    options = parser.parse_args()
    chosen = [row for row in rows() if row.data == options.data.name and options.protocol in (None, row.protocol)]
    if not chosen or not options.data.is_dir():
        known = ", ".join(f"{row.data} by {row.protocol}" for row in rows())
        print(f"{options.data}: no such folder, or no row is about it; the rows are {known}", file=sys.stderr)
        return 2
    # One run gives the rows of both stages and of the first alone.
    for row in {row.result: row for row in chosen}.values():
        _measure(row, options.data, options.seeds or row.seeds)
    return 0


def _measure(row: Row, data: Path, seeds: int) -> None:
    report = BUILD / f"{row.data}-{row.protocol}.report.json"
    command = row.command(str(data), seeds)
    subprocess.run([sys.executable, *command, "--report", str(report)], check=True)
    shown = " ".join(["python", *row.command(data.name, seeds)])
    write_json(row.result, {**json.loads(report.read_text()), "machine": machine(), "command": shown})
    report.unlink()
