"""Figures as tables for people."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shortlist.bundle import IndexInfo
from trainer.evaluation.metrics import Figures

_LEAST_SPREAD = 5e-5

Spread = dict[str, dict[str, tuple[float, float]]]


def deviation(runs: ArrayLike) -> NDArray[np.float64]:
    """Sample standard deviation over the runs ``[S, …]``, with S - 1 degrees of freedom; 0 for one run."""
    values = np.asarray(runs, dtype=np.float64)
    return np.asarray(values.std(axis=0, ddof=1)) if len(values) > 1 else np.zeros(values.shape[1:])


def mean_and_spread(runs: Sequence[Figures]) -> Spread:
    """Mean and standard deviation over the runs of each figure."""
    return {name: {key: _of_runs([run[name][key] for run in runs]) for key in row} for name, row in runs[0].items()}


def _of_runs(values: Sequence[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(deviation(values))


def figures_table(figures: Spread) -> str:
    """One line for each model, with spreads and without figures of folds."""
    keys = [key for key in next(iter(figures.values())) if not key.endswith("]")]
    lines = ["".join([f"{'':14}", *(f"{key:>18}" for key in keys)])]
    for name, row in figures.items():
        lines.append("".join([f"{name:14}", *(f"{_cell(*row[key]):>18}" for key in keys)]))
    return "\n".join(lines)


def index_table(index: IndexInfo) -> str:
    """One line for each tried index, the chosen one marked, and for each skipped one, with the reason.

    Times are for a search on one thread: of a single query, and of one among eight in a call.
    """
    title = f"recall@{index.recall_at}, at least {index.target}"
    lines = [f"{title:54}{'recall':>8}{'us':>8}{'us of 8':>8}{'bytes':>8}{'built s':>9}"]
    for trial in index.trials:
        name = f"{'*' if trial.chosen else ' '} {trial.spec} {trial.parameters}"
        lines.append(
            f"{name:54}{trial.recall:8.4f}{trial.search_us:8.0f}{trial.search_us_batch:8.0f}"
            f"{trial.bytes_per_vector:8.0f}{trial.build_seconds:9.1f}"
        )
    return "\n".join([*lines, *(f"  {spec} not tried: {reason}" for spec, reason in index.not_tried.items())])


def _cell(mean: float, spread: float) -> str:
    return f"{mean:.4f} ± {spread:.4f}" if spread >= _LEAST_SPREAD else f"{mean:.4f}"
