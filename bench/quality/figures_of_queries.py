"""Trains a recipe and writes one metric of each test query.

``bench.quality.compare`` runs this file with another checkout as ``PYTHONPATH``.
"""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console

from trainer.analysis.measurement import lists_of_test, two_stage_lists
from trainer.data.split import Split
from trainer.evaluation.metrics import Rankings, figures
from trainer.jobs.inputs import read_inputs
from trainer.models.encoders.encoded import Encoded
from trainer.progress import ConsoleReporter
from trainer.protocols.registry import PROTOCOLS
from trainer.protocols.task import Task
from trainer.recipe import Recipe
from trainer.training.encoder.training import Validation
from trainer.training.two_stage import fit_retrieval, fit_two_stage

_REPORTER = ConsoleReporter(Console(stderr=True))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality.figures_of_queries", description=__doc__)
    for name in ("recipe", "data", "protocol", "metric", "model", "seed", "out"):
        parser.add_argument(name, type={"recipe": Path, "data": Path, "seed": int}.get(name, str))
    options = parser.parse_args()
    recipe, dataset = read_inputs(Recipe.read(options.recipe), options.data, _REPORTER)
    task = PROTOCOLS[options.protocol](dataset, recipe, options.data)
    lists = _lists(task, recipe, options.seed, options.model)
    metric, places = options.metric, range(len(lists.hits))
    np.save(options.out, [figures(lists.at(np.array([place])), [metric])[metric] for place in places])


def _lists(task: Task, recipe: Recipe, seed: int, model: str) -> Rankings:
    if not task.both_stages or model == "retrieval":
        trained = fit_retrieval(task, recipe, seed, _REPORTER)
        return lists_of_test(Encoded.of(trained.encoder, recipe.encoder.history).scores, task)
    split = Split(encoder_end=task.learn_end, ranker_end=task.known_end, end=task.dataset.counts.interactions)
    pipeline, _ = fit_two_stage(task.dataset, split, recipe, seed, _REPORTER, Validation.of(task))
    return two_stage_lists(pipeline, task)[model]


if __name__ == "__main__":
    main()
