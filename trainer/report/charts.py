"""Charts as SVG inside a page: matplotlib draws and the page's style colours, so that they are right in any light."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter, ScalarFormatter
from numpy.typing import NDArray

from trainer.analysis.tables import deviation
from trainer.evaluation.classification import CalibrationCurve
from trainer.report.item_map import OTHER, ItemMap
from trainer.report.names import metric_label

SERIES = 9
"""How many colours the page's style has: ``--series-0`` and on."""
_FIRST_RUN = 4
# Above it a percent more or less is not seen.
_COARSE = 0.05
_INK, _GRID = "#0a0b0c", "#0d0e0f"
_COLOURS = [f"#0102{number:02x}" for number in range(SERIES)]
_VARIABLES = {_INK: "var(--dim)", _GRID: "var(--line)"} | {
    colour: f"var(--series-{number})" for number, colour in enumerate(_COLOURS)
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _INK,
    "axes.titlecolor": _INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
}
_MAP_SIZE = 1000
# In inches of 72 pixels, so that type comes out at about the size of the page's own.
_WIDE, _HALF = (12, 3.9), (5.8, 3.2)


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """A line: ``runs`` ``[S, X]`` of S seeds, in a colour of the page; our own models are drawn ``strong``."""

    colour: int
    runs: NDArray[np.float64]
    strong: bool = True


def by_k(series: Mapping[str, Series]) -> Markup:
    """Recall by the length of the list, 1, 2, …; a band is one standard deviation over the seeds."""
    with mpl.rc_context(_STYLE):
        figure, axes = _axes(_WIDE)
        for name, one in series.items():
            _draw(axes, np.arange(1, one.runs.shape[1] + 1), one, name)
        longest = max(one.runs.shape[1] for one in series.values())
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator([k for k in (1, 2, 5, 10, 20, 50, 100, 200) if k <= longest]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.set_xlabel("k")
        _percent(axes)
        return _svg(figure)


def by_group(series: Mapping[str, Series], labels: Sequence[str], sizes: NDArray[np.int64], about: str) -> Markup:
    """Recall of groups that have a natural order; a group without anything is left out."""
    there = np.flatnonzero(sizes > 0).tolist()
    with mpl.rc_context(_STYLE):
        figure, axes = _axes(_HALF)
        for name, one in series.items():
            _draw(
                axes, np.arange(len(there)), Series(colour=one.colour, runs=one.runs[:, there], strong=one.strong), name
            )
            axes.lines[-1].set_marker("o")
        axes.set_xticks(np.arange(len(there)), [f"{labels[at]}\n{_short(sizes[at])}" for at in there])
        axes.set_xlabel(f"{about}; below, how many are relevant")
        _percent(axes)
        return _svg(figure)


def by_epoch(lines: Mapping[str, Sequence[Mapping[str, float]]], figure_name: str) -> Markup:
    """A stage's loss and its validation figure by epoch, a line for each run, the best epoch of each marked."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDE[0], 2.7), layout="constrained")
        left, right = figure.subplots(1, 2)
        for number, run in enumerate(lines.values()):
            epochs, colour = np.arange(1, len(run) + 1), _COLOURS[run_colour(number)]
            left.plot(epochs, [line.get("loss", np.nan) for line in run], color=colour)
            values = np.array([line[figure_name] for line in run])
            right.plot(epochs, values, color=colour)
            right.plot(epochs[values.argmax()], values.max(), color=colour, marker="o", markersize=6)
        for axes, title in ((left, "loss"), (right, f"validation {metric_label(figure_name)}, best marked")):
            axes.set_title(title)
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        return _svg(figure)


def by_name(values: Mapping[str, NDArray[np.float64]], about: str) -> Markup:
    """A bar for each name, from above, as long as the mean of its runs ``[S]``, whose standard deviation is a line."""
    with mpl.rc_context(_STYLE | {"axes.grid.axis": "x"}):
        figure, axes = _axes((_WIDE[0], 0.9 + 0.26 * len(values)))
        places, runs = np.arange(len(values)), list(values.values())
        spread = [float(deviation(run)) for run in runs] if any(len(run) > 1 for run in runs) else None
        axes.barh(places, [float(run.mean()) for run in runs], xerr=spread, color=_COLOURS[_FIRST_RUN], ecolor=_INK)
        # The names of a data set's columns are no formulas.
        axes.set_yticks(places, list(values), parse_math=False)
        axes.invert_yaxis()
        axes.set_xlabel(about)
        return _svg(figure)


def calibration(curves: Sequence[CalibrationCurve]) -> Markup:
    """The observed over the predicted probability, a line for each run, beside the diagonal.

    Both axes are logarithmic, so bins without observed events are left out.
    """
    with mpl.rc_context(_STYLE | {"axes.grid.axis": "both"}):
        figure, axes = _axes(_HALF)
        axes.set_xscale("log")
        axes.set_yscale("log")
        for number, curve in enumerate(curves):
            there = curve.observed > 0
            x, y = curve.predicted[there], curve.observed[there]
            axes.plot(x, y, color=_COLOURS[run_colour(number)], marker="o")
        low, high = axes.get_xlim()
        axes.plot([low, high], [low, high], color=_INK, linestyle="--", linewidth=1)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
            axis.set_minor_locator(NullLocator())
        axes.set_xlabel("predicted")
        axes.set_ylabel("observed")
        return _svg(figure)


def item_map(found: ItemMap) -> Markup:
    """A dot for each item, by hand: one path for each category is a tenth of what matplotlib writes."""
    low, high = found.points.min(axis=0), found.points.max(axis=0)
    places = (found.points - low) / np.maximum(high - low, np.finfo(np.float64).tiny) * [_MAP_SIZE, _MAP_SIZE * 0.6]
    colours = map_colours(found)
    dots = "".join(_dots(places[found.codes == code], colour) for code, colour in enumerate(colours))
    size = f"{_MAP_SIZE + 20} {_MAP_SIZE * 0.6 + 20:.0f}"
    return Markup(f'<svg class="map" viewBox="-10 -10 {size}" role="img">{dots}</svg>')  # noqa: S704 - only numbers


def map_colours(found: ItemMap) -> list[int]:
    """The colour of each of its labels; items without a category have the last one."""
    return [SERIES - 1 if label == OTHER else number for number, label in enumerate(found.labels)]


def _dots(places: NDArray[np.float64], colour: int) -> str:
    path = "".join(f"M{x:.0f} {y:.0f}h0" for x, y in places)
    return f'<path d="{path}" style="stroke:var(--series-{colour})"/>'


def run_colour(number: int) -> int:
    """The colour of a training, from the strongest one on."""
    return (_FIRST_RUN + number) % SERIES


def _axes(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots()


def _draw(axes: Axes, places: NDArray[np.int64], series: Series, name: str) -> None:
    colour, mean = _COLOURS[series.colour % SERIES], series.runs.mean(axis=0)
    style = {"linewidth": 2.6, "zorder": 3} if series.strong else {"linewidth": 1.3, "linestyle": "--"}
    if len(series.runs) > 1:
        spread = deviation(series.runs)
        axes.fill_between(places, mean - spread, mean + spread, color=colour, alpha=0.2, linewidth=0)
    axes.plot(places, mean, color=colour, label=name, **style)


def _percent(axes: Axes) -> None:
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0 if axes.get_ylim()[1] > _COARSE else 1))


def _short(count: int) -> str:
    return f"{count:,}" if count < 10_000 else f"{count / 1000:.0f}k"


def _svg(figure: Figure) -> Markup:
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    # The style would be that of the whole page.
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    # Names of parts that nothing refers to, and that another chart of the page has too.
    svg = re.sub(r' id="[A-Za-z0-9.]+_\d+(_\d+)?"| xmlns(:xlink)?="[^"]*"| (width|height)="[\d.]+pt"', "", svg)
    # The page's own type.
    svg = re.sub(r"font-family: [^;\"]*sans-serif", "font-family: var(--font)", svg)
    svg = svg.replace("xlink:href", "href")
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return Markup(re.sub(r"\n\s*", "\n", svg).strip())  # noqa: S704 - matplotlib escapes
