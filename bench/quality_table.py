"""``python -m bench.quality_table``: writes the table of docs/quality.md from the results in ``build/quality``.

A row that was not measured anew keeps the line that it has.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.quality import ERRORS, Row, rows

_PAGE = Path("docs") / "quality.md"
_BEGIN, _END = "<!-- figures: make quality-table -->", "<!-- end of figures -->"
_HEAD = [
    "| data, protocol | figure | ours, mean ± spread | asked | aim | best baseline | seeds, s a seed, MB | command |",
    "|---|---|---|---|---|---|---|---|",
]
_NOT_MEASURED = "not measured"
_BOTH = "two_stage"


def main() -> int:
    """See the module."""
    text = _PAGE.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    former, end, after = rest.partition(_END)
    if not begin or not end:
        print(f"{_PAGE} has no {_BEGIN} … {_END}", file=sys.stderr)
        return 1
    lines = [line(row, former) for row in rows()]
    _PAGE.write_text("\n".join([before + _BEGIN, "", *_HEAD, *lines, "", _END]) + after, encoding="utf-8")
    return 0


def line(row: Row, former: str) -> str:
    """The line of a row in the table, of which the former one is given."""
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
        " / ".join(f"{one['mean']:.4f} ± {one['std']:.4f}" for one in ours),
        _asked(row, row.must, figures),
        _asked(row, row.aim, figures),
        _best_baseline(row, figures),
        f"{result['seeds']}, {result['seconds'] / result['seeds']:.0f}, {result['peak_rss_mb']}",
        f"`{result['command']}`",
    ]
    return f"| {' | '.join(cells)} |"


def _asked(row: Row, figures: tuple[float, ...], measured: Mapping[str, Any]) -> str:
    """What is asked for, and whether it is reached."""
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
    others = {name: one for name, one in figures.items() if name not in (_BOTH, "retrieval", row.model)}
    if not others:
        return ""
    metric = row.metrics[-1]
    best = (min if _is_error(metric) else max)(others, key=lambda name: float(others[name][metric]["mean"]))
    found = [others[best][metric]["mean"] for metric in row.metrics]
    return f"{best} {' / '.join(f'{one:.4f}' for one in found)}"


def _better(metric: str, figure: float, bound: float) -> bool:
    """Whether a figure is at least as good as what is asked for."""
    return figure <= bound if _is_error(metric) else figure >= bound


def _is_error(metric: str) -> bool:
    return metric.partition("[")[0] in ERRORS


if __name__ == "__main__":
    sys.exit(main())
