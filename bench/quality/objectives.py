"""``python -m bench.quality.objectives DATA``: one ranker of several objectives beside rankers of one objective each.

It measures the recipe itself, and for each objective the same recipe with that objective alone and one expert. Each
measurement equals ``python -m trainer evaluate --protocol impressions``, LightGBM included. The figures are written to
``build/quality/objectives-<data>.json`` after each model.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from bench.harness.machine import machine
from bench.harness.processes import write_json
from bench.quality.measure import BUILD
from trainer.analysis.tables import figures_table, mean_and_spread
from trainer.data import load
from trainer.errors import RecipeError, TrainerError
from trainer.jobs.impression_evaluation import evaluate_impressions
from trainer.progress import ConsoleReporter, Reporter
from trainer.protocols import IMPRESSIONS
from trainer.recipe import Recipe

_RECIPE = Path("trainer") / "recipes" / "impressions-objectives.toml"
_EXIT_BAD_INPUT, _EXIT_INTERRUPTED = 2, 130
Measured = dict[str, Any]
"""``seconds``, ``figures`` (mean and std of each) and ``runs``, as in the report of ``trainer evaluate``."""


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality.objectives", description=__doc__)
    parser.add_argument("data", type=Path, help="the folder of a data set, such as build/data/kuairand")
    parser.add_argument(
        "--recipe", type=Path, default=_RECIPE, help=f"one with several objectives (default: {_RECIPE})"
    )
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 (default: 3)")
    options = parser.parse_args()
    name, console = options.data.resolve().name, Console(stderr=True)
    path, started = BUILD / f"objectives-{name}.json", time.monotonic()
    command = f"python -m bench.quality.objectives {name} --recipe {options.recipe.as_posix()} --seeds {options.seeds}"
    about = {"protocol": IMPRESSIONS, "data": name, "recipe": options.recipe.stem, "seeds": options.seeds}
    torch.use_deterministic_algorithms(True)
    try:
        for found in measured(options.data, Recipe.read(options.recipe), options.seeds, ConsoleReporter(console)):
            cost = {"seconds": round(time.monotonic() - started, 1), "machine": machine(), "command": command}
            write_json(path, {**about, **found, **cost})
    except TrainerError as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        return _EXIT_BAD_INPUT
    except KeyboardInterrupt:
        console.print(f"stopped; {path} has the models measured so far", highlight=False, soft_wrap=True)
        return _EXIT_INTERRUPTED
    return 0


def measured(data: Path, recipe: Recipe, seeds: int, reporter: Reporter) -> Iterator[dict[str, Any]]:
    """The figures so far, after each model: all objectives ``together``, and each objective ``alone``.

    Raises:
        RecipeError: the recipe has fewer than two objectives.
    """
    if len(recipe.objectives) < 2:
        raise RecipeError("[objectives]: needs at least two")
    reporter.say(f"{', '.join(recipe.objectives)} together")
    together, alone = _measured(data, recipe, seeds, reporter), dict[str, Measured]()
    yield {"together": together, "alone": alone}
    for objective in recipe.objectives:
        reporter.say(f"{objective} alone")
        alone[objective] = _measured(data, alone_with(objective, recipe), seeds, reporter)
        yield {"together": together, "alone": alone}


def alone_with(objective: str, recipe: Recipe) -> Recipe:
    """The recipe of a model that learns one objective with one expert.

    The other objectives get loss weight 0. They stay in the features: the click-through rate of an item also helps to
    predict its likes.
    """
    objectives = {
        name: one if name == objective else replace(one, loss_weight=0.0) for name, one in recipe.objectives.items()
    }
    return replace(recipe, objectives=objectives, ranker=replace(recipe.ranker, experts=1))


def _measured(data: Path, recipe: Recipe, seeds: int, reporter: Reporter) -> Measured:
    started = time.monotonic()
    runs = evaluate_impressions(load(data, recipe), recipe, data, seeds, reporter).runs
    figures = mean_and_spread(runs)
    reporter.say(figures_table(figures))
    return {
        "seconds": round(time.monotonic() - started, 1),
        "figures": {name: {key: {"mean": m, "std": s} for key, (m, s) in row.items()} for name, row in figures.items()},
        "runs": runs,
    }


if __name__ == "__main__":
    sys.exit(main())
