"""Figures as a person reads them."""

from collections.abc import Sequence

import numpy as np

from trainer.fit import Figures

_LEAST_SPREAD = 5e-5

Spread = dict[str, dict[str, tuple[float, float]]]


def mean_and_spread(runs: Sequence[Figures]) -> Spread:
    """Mean and standard deviation over the runs of each figure."""
    return {
        name: {
            key: (float(np.mean([run[name][key] for run in runs])), float(np.std([run[name][key] for run in runs])))
            for key in row
        }
        for name, row in runs[0].items()
    }


def figures_table(figures: Spread) -> str:
    """One line for each model; a spread is shown where there is one."""
    keys = list(next(iter(figures.values())))
    lines = ["".join([f"{'':14}", *(f"{key:>18}" for key in keys)])]
    for name, row in figures.items():
        lines.append("".join([f"{name:14}", *(f"{_cell(*row[key]):>18}" for key in keys)]))
    return "\n".join(lines)


def _cell(mean: float, spread: float) -> str:
    return f"{mean:.4f} ± {spread:.4f}" if spread >= _LEAST_SPREAD else f"{mean:.4f}"
