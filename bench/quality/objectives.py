"""``python -m bench.quality.objectives DATA``: one ranker of several objectives beside rankers of one objective each.

The recipe as it is, and for each of its objectives the same recipe with that objective alone and one expert, each
measured as ``python -m trainer evaluate --protocol impressions`` does, with LightGBM beside it.
``build/quality/objectives-<data>.json`` has the figures, written after each model.
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
from trainer.commands.impression_evaluation import impression_runs
from trainer.data import load
from trainer.errors import RecipeError, TrainerError
from trainer.progress import ConsoleReporter, Reporter
from trainer.protocols.impressions import IMPRESSIONS
from trainer.recipe import Recipe

_RECIPE = Path("trainer") / "recipes" / "impressions-objectives.toml"
_EXIT_BAD_INPUT, _EXIT_INTERRUPTED = 2, 130
Measured = dict[str, Any]
"""``seconds``, the ``figures`` with mean and std of each, and the ``runs`` they are of, as ``trainer evaluate`` has
them."""


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality.objectives", description=__doc__)
    parser.add_argument("data", type=Path, help="the folder of a data set, such as build/data/kuairand")
    parser.add_argument(
        "--recipe", type=Path, default=_RECIPE, help=f"one with several objectives (default: {_RECIPE})"
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0 (default: 3)")
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
        console.print(f"stopped; {path} has the models that were done", highlight=False, soft_wrap=True)
        return _EXIT_INTERRUPTED
    return 0


def measured(data: Path, recipe: Recipe, seeds: int, reporter: Reporter) -> Iterator[dict[str, Any]]:
    """After each model what is known by then: the model of all objectives ``together``, and by its objective each
    ``alone``.

    Raises:
        RecipeError: there are no two objectives to be learnt together.
    """
    if len(recipe.objectives) < 2:
        raise RecipeError("[objectives]: has to name at least two")
    reporter.say(f"{', '.join(recipe.objectives)} together")
    together, alone = _measured(data, recipe, seeds, reporter), dict[str, Measured]()
    yield {"together": together, "alone": alone}
    for objective in recipe.objectives:
        reporter.say(f"{objective} alone")
        alone[objective] = _measured(data, alone_with(objective, recipe), seeds, reporter)
        yield {"together": together, "alone": alone}


def alone_with(objective: str, recipe: Recipe) -> Recipe:
    """The recipe of a model that learns one objective, whose backbone has no need of being mixed.

    The others weigh nothing, and are still counted: how often an item was clicked is known to whoever foretells likes.
    """
    objectives = {
        name: one if name == objective else replace(one, loss_weight=0.0) for name, one in recipe.objectives.items()
    }
    return replace(recipe, objectives=objectives, ranker=replace(recipe.ranker, experts=1))


def _measured(data: Path, recipe: Recipe, seeds: int, reporter: Reporter) -> Measured:
    started = time.monotonic()
    runs = impression_runs(load(data, recipe), recipe, data, seeds, reporter).runs
    figures = mean_and_spread(runs)
    reporter.say(figures_table(figures))
    return {
        "seconds": round(time.monotonic() - started, 1),
        "figures": {name: {key: {"mean": m, "std": s} for key, (m, s) in row.items()} for name, row in figures.items()},
        "runs": runs,
    }


if __name__ == "__main__":
    sys.exit(main())
