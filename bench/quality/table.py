"""``python -m bench.quality.table``: writes the tables of docs/quality.md from the results in ``build/quality``.

Rows without a new result keep their line.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.harness.page import split_at
from bench.quality import measure as quality
from bench.quality.measure import ERRORS, Row, rows

_PAGE = Path("docs") / "quality.md"
_FIGURES, _RANKERS, _OBJECTIVES = TABLES = ("figures", "rankers", "objectives")
_HEADS = {
    _FIGURES: (
        "data, protocol",
        "figure",
        "ours, mean ± spread",
        "asked",
        "aim",
        "best baseline",
        "seeds, s a seed, MB",
        "command",
    ),
    _RANKERS: ("ranker", "nDCG@10", "training, CPU s", "parameters", "µs for 500 candidates", "command"),
    _OBJECTIVES: (
        "data, objective",
        "AUC of several objectives",
        "of that objective alone",
        "difference",
        "LightGBM",
        "difference",
        "command",
    ),
}
_NOT_MEASURED = "not measured"
_BOTH, _FIRST, _TREES = "two_stage", "retrieval", "lightgbm"


def main() -> int:
    """See the module."""
    argparse.ArgumentParser(prog="python -m bench.quality.table", description=__doc__).parse_args()
    text = _PAGE.read_text(encoding="utf-8")
    try:
        for name in TABLES:
            text = with_table(text, name)
    except ValueError as error:
        print(f"{_PAGE}: {error}", file=sys.stderr)
        return 1
    _PAGE.write_text(text, encoding="utf-8")
    return 0


def with_table(text: str, name: str) -> str:
    """The page with one of its ``TABLES`` replaced.

    Raises:
        ValueError: the page lacks the table's markers.
    """
    first, last = f"<!-- {name}: make quality-table -->", f"<!-- end of {name} -->"
    before, former, after = split_at(text, first, last)
    head = _HEADS[name]
    lines = [_line(*head), "|---" * len(head) + "|", *_lines(name, former)]
    return "\n".join([before, "", *lines, "", after])


def _lines(name: str, former: str) -> list[str]:
    if name == _FIGURES:
        return [line(row, former) for row in rows()]
    found = _lines_of_rankers() if name == _RANKERS else _lines_of_objectives()
    # The first cell identifies a line; the first line is the head.
    known = [one for one in former.splitlines() if one.startswith("| ")][1:]
    return list({one.split(" |")[0]: one for one in [*known, *found]}.values())


def line(row: Row, former: str) -> str:
    """The line of a row; without a result, its line in the ``former`` table."""
    result = row.measured()
    if result is not None:
        return _measured(row, result)
    start = f"| {_name(row)} |"
    return next((one for one in former.splitlines() if one.startswith(start)), f"{start} {_NOT_MEASURED} | | | | | | |")


def _name(row: Row) -> str:
    stages = {_BOTH: ", both stages"}.get(row.model, "")
    gain = ", gain" if stages and row.baseline else ""
    return f"{row.data}, {row.protocol}{stages}{gain}"


def _measured(row: Row, result: Mapping[str, Any]) -> str:
    figures = result["figures"]
    ours = [figures[row.model][metric] for metric in row.metrics]
    cells = [
        _name(row),
        " / ".join(row.metrics),
        " / ".join(_spread(one) for one in ours),
        _asked(row, row.must, figures),
        _asked(row, row.aim, figures),
        _best_baseline(row, figures),
        f"{result['seeds']}, {result['seconds'] / result['seeds']:.0f}, {result['peak_rss_mb']}",
        f"`{result['command']}`",
    ]
    return _line(*cells)


def _asked(row: Row, figures: tuple[float, ...], measured: Mapping[str, Any]) -> str:
    """The bounds, and whether the figures reach them."""
    if not figures:
        return ""
    bounds = list(figures)
    if row.baseline:
        bounds = [
            one * measured[row.baseline][metric]["mean"] for one, metric in zip(figures, row.metrics, strict=True)
        ]
    reached = all(
        _better(metric, measured[row.model][metric]["mean"], one)
        for metric, one in zip(row.metrics, bounds, strict=True)
    )
    return f"{' / '.join(f'{one:.4f}' for one in bounds)} {'✓' if reached else '✗'}"


def _best_baseline(row: Row, figures: Mapping[str, Any]) -> str:
    # Trees rank candidates, so that they are no baseline of retrieval alone.
    stages = (_BOTH, _FIRST, row.model, *((_TREES,) if row.model == _FIRST else ()))
    others = {name: one for name, one in figures.items() if name not in stages}
    if not others:
        return ""
    metric = row.metrics[-1]
    best = (min if _is_error(metric) else max)(others, key=lambda name: float(others[name][metric]["mean"]))
    found = [others[best][metric]["mean"] for metric in row.metrics]
    return f"{best} {' / '.join(f'{one:.4f}' for one in found)}"


def _lines_of_rankers() -> list[str]:
    """A line for each ranker that ``bench.quality.rankers`` measured with all seeds."""
    path = quality.BUILD / "rankers.json"
    if not path.exists():
        return []
    result = json.loads(path.read_text())
    return [
        _line(
            f"`{name}`",
            _spread(figures["ndcg@10"]) if result["seeds"] > 1 else f"{figures['ndcg@10']['mean']:.4f}",
            f"{figures['cpu_seconds']['mean']:.0f}",
            f"{figures['parameters']['mean']:,.0f}",
            f"{figures['microseconds']['mean']:,.0f}",
            f"`{result['command']}`",
        )
        for name, figures in result["rankers"].items()
        if len(result["runs"][name]) == result["seeds"]
    ]


def _lines_of_objectives() -> list[str]:
    """A line for each event objective that ``bench.quality.objectives`` also measured alone."""
    results = [json.loads(path.read_text()) for path in sorted(quality.BUILD.glob("objectives-*.json"))]
    return [
        _line(
            f"{result['data']}, {objective}",
            *_of_objective(f"{objective}/auc", result["together"]["figures"], alone["figures"]),
            f"`{result['command']}`",
        )
        for result in results
        for objective, alone in result["alone"].items()
        if f"{objective}/auc" in alone["figures"]["ranker"]
    ]


def _of_objective(metric: str, together: Mapping[str, Any], alone: Mapping[str, Any]) -> list[str]:
    """The cells of an objective; LightGBM is an extra and may be absent."""
    ours, one = together["ranker"][metric], alone["ranker"][metric]
    cells = [_spread(ours), _spread(one), f"{ours['mean'] - one['mean']:+.4f}"]
    if _TREES not in together:
        return [*cells, "", ""]
    trees = together[_TREES][metric]["mean"]
    return [*cells, f"{trees:.4f}", f"{ours['mean'] - trees:+.4f}"]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(figure: Mapping[str, float]) -> str:
    return f"{figure['mean']:.4f} ± {figure['std']:.4f}"


def _better(metric: str, figure: float, bound: float) -> bool:
    """Whether a figure reaches its bound."""
    return figure <= bound if _is_error(metric) else figure >= bound


def _is_error(metric: str) -> bool:
    return metric.partition("[")[0] in ERRORS


if __name__ == "__main__":
    sys.exit(main())
