"""``python -m bench.quality.id_dropout DATA``: the cost of a share of dropped item ids, and its gain for new items.

Trains the recipe's encoder with each share. Prints two figures of the validation, means over the seeds. One is for the
next liked item. The other one ranks new items alone: a tenth of all, drawn at random, without an event to learn from.
The tests of both are never ranked. Differences are to no dropout, over the questions. All seeds
share those about the next liked item, so that each counts once, with its mean.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from trainer.data import Dataset, load
from trainer.errors import RecipeError
from trainer.evaluation.metrics import depth_of, of_queries
from trainer.evaluation.paired import paired_difference
from trainer.evaluation.rankings import rankings
from trainer.models.encoders.encoded import Encoded
from trainer.progress import ConsoleReporter, Reporter
from trainer.protocols.cold import cold_items_by
from trainer.protocols.registry import PROTOCOLS
from trainer.protocols.task import TEST, TRAIN, VALIDATION, Task
from trainer.recipe import Recipe
from trainer.recipe.models import SequenceConfig
from trainer.training.encoder.fit import fit_encoder
from trainer.training.encoder.training import Validation

_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3)
_CHANCES = {TRAIN: 0.8, VALIDATION: 0.1, TEST: 0.1}
_NEXT, _NEW = "ndcg@10", "recall@20"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality.id_dropout", description=__doc__)
    parser.add_argument("data", type=Path, help="the folder of a data set, such as ../shared/data/ml-100k")
    parser.add_argument("--recipe", type=Path, required=True, help="a recipe with an encoder of sequences")
    parser.add_argument("--seeds", type=int, default=2, help="number of seeds, from 0 (default: 2)")
    options = parser.parse_args()
    recipe = Recipe.read(options.recipe)
    dataset, reporter = load(options.data, recipe), ConsoleReporter(Console(stderr=True))
    found: dict[float, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for share in _SHARES:
        reporter.say(f"id_dropout {share}")
        tried, seeds = _with(recipe, share), range(options.seeds)
        next_like = PROTOCOLS["next-like"](dataset, recipe, options.data)
        known = [_figures(next_like, tried, _NEXT, seed, reporter) for seed in seeds]
        new = [_figures(_new_items(dataset, seed), tried, _NEW, seed, reporter) for seed in seeds]
        found[share] = np.mean(known, axis=0), np.concatenate(new)
    _print(found)


def _new_items(dataset: Dataset, seed: int) -> Task:
    random = np.random.default_rng(seed)
    part = random.choice([*_CHANCES], p=[*_CHANCES.values()], size=len(dataset.item_ids))
    return cold_items_by(dataset, part[dataset.item_rows])


def _with(recipe: Recipe, share: float) -> Recipe:
    if not isinstance(recipe.encoder, SequenceConfig):
        raise RecipeError(f"the encoder {recipe.encoder.name} drops no ids")
    return replace(recipe, encoder=replace(recipe.encoder, id_dropout=share))


def _figures(task: Task, recipe: Recipe, metric: str, seed: int, reporter: Reporter) -> NDArray[np.float64]:
    """The metric of each question of the validation ``[Q]``, at the best epoch."""
    validation = replace(Validation.of(task), chosen_by=metric)
    trained = fit_encoder(task.dataset, task.learn_end, recipe.encoder, seed, reporter, validation)
    encoded = Encoded.of(trained.encoder, recipe.encoder.history)
    lists = rankings(encoded.scores, validation.judged, depth_of([metric]), task.learn_end)
    return of_queries(lists, metric)


def _print(found: dict[float, tuple[NDArray[np.float64], NDArray[np.float64]]]) -> None:
    table = Table(title="id_dropout")
    for column in ("share", f"next like, {_NEXT}", "difference", f"new items, {_NEW}", "difference"):
        table.add_column(column, justify="right")
    for share, figures in found.items():
        cells = [text for ours, none in zip(figures, found[0.0], strict=True) for text in _cells(ours, none)]
        table.add_row(f"{share:g}", *cells)
    Console(width=100).print(table)


def _cells(ours: NDArray[np.float64], none: NDArray[np.float64]) -> Sequence[str]:
    difference, interval = paired_difference(ours, none)
    return f"{ours.mean():.4f}", f"{difference:+.4f} ± {interval:.4f}"


if __name__ == "__main__":
    main()
