"""``python -m bench.quality.rankers DATA``: every ranker of the recipes on one data set, behind the same encoder.

Each ranker gets the test quality of both stages, the time of training and the number of parameters. The last figure is
ONNX Runtime's time for one request of 500 candidates on one thread. ``build/quality/rankers.json`` is written after
each ranker.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median

import numpy as np
import torch
from rich.console import Console

from bench.harness.machine import machine
from bench.harness.processes import write_json
from bench.quality.measure import BUILD
from shortlist.inference.model_inputs import UserInputs, latest_first, ranker_inputs
from shortlist.inference.onnx_session import OnnxSession
from trainer.analysis.measurement import evaluate_two_stage
from trainer.analysis.tables import deviation
from trainer.data import Dataset, load
from trainer.data.history_slices import HistorySlices
from trainer.data.split import Split, evaluation_split
from trainer.export.onnx_files import export_ranker
from trainer.models.encoders.encoded import Encoded
from trainer.models.pipeline import TrainedPipeline, retrieve
from trainer.progress import ConsoleReporter, Reporter
from trainer.protocols.next_like import next_like_task
from trainer.protocols.task import Task
from trainer.recipe import RankerConfig, Recipe
from trainer.training.encoder.fit import fit_encoder
from trainer.training.encoder.training import Validation
from trainer.training.two_stage import fit_ranker

RESULT = BUILD / "rankers.json"
_RECIPES = Path("trainer") / "recipes"
_BASE, _CANDIDATES, _USERS, _RUNS = "movielens", 500, 50, 10
Figures = dict[str, float]


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality.rankers", description=__doc__)
    parser.add_argument("data", type=Path, help="the folder of a MovieLens data set, such as ../shared/data/ml-100k")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 (default: 3)")
    options = parser.parse_args()
    reporter = ConsoleReporter(Console(stderr=True))
    recipe = Recipe.read(_RECIPES / f"{_BASE}.toml")
    dataset = load(options.data, recipe)
    split = evaluation_split(dataset, recipe.split)
    name = options.data.resolve().name
    command = f"python -m bench.quality.rankers {name} --seeds {options.seeds}"
    about = {"data": name, "seeds": options.seeds, "command": command, "machine": machine()}
    runs: dict[str, list[Figures]] = {}
    for seed in range(options.seeds):
        for ranker, figures in _seed(recipe, dataset, split, seed, reporter):
            runs.setdefault(ranker, []).append(figures)
            found = {one: summary(of_one) for one, of_one in runs.items()}
            write_json(RESULT, {**about, "rankers": found, "runs": runs})
    return 0


def rankers() -> Mapping[str, RankerConfig]:
    """The [ranker] section of each recipe of a ranker, by the ranker's name."""
    paths = [_RECIPES / f"{_BASE}.toml", *sorted(_RECIPES.glob("ranker-*.toml"))]
    found = {path: Recipe.read(path).ranker for path in paths}
    return {one.name if one.experts == 1 else f"mmoe of {one.name}": one for one in found.values()}


def _seed(
    recipe: Recipe, dataset: Dataset, split: Split, seed: int, reporter: Reporter
) -> Iterator[tuple[str, Figures]]:
    task = next_like_task(dataset, split)
    reporter.say(f"seed {seed}")
    trained = fit_encoder(dataset, split.encoder_end, recipe.encoder, seed, reporter, Validation.of(task))
    encoded = Encoded.of(trained.encoder, recipe.encoder.history)
    for name, ranker in rankers().items():
        reporter.say(name)
        yield name, _ranker(encoded, task, split, replace(recipe, ranker=ranker), seed, reporter)


def _ranker(encoded: Encoded, task: Task, split: Split, recipe: Recipe, seed: int, reporter: Reporter) -> Figures:
    started = time.process_time()
    model, log = fit_ranker(encoded, task.dataset, split, recipe, seed, reporter)
    seconds = time.process_time() - started
    figures = evaluate_two_stage(model, task)
    return {
        "ndcg@10": figures["two_stage"]["ndcg@10"],
        "gain": figures["two_stage"]["ndcg@10"] / figures["retrieval"]["ndcg@10"] - 1,
        "validation": log.validation["validation/two_stage"]["ndcg@10"],
        "cpu_seconds": seconds,
        "parameters": sum(one.numel() for one in model.ranker.parameters()),
        "microseconds": _microseconds(model, task.dataset, split),
    }


@torch.no_grad()
def _microseconds(model: TrainedPipeline, dataset: Dataset, split: Split) -> float:
    """The median over requests of real users, one at a time."""
    events = np.linspace(split.ranker_end, split.end - 1, _USERS).astype(np.int64)
    histories, users = HistorySlices.before(dataset, events).listed(), dataset.user_rows[events]
    features, known = model.user_features(dataset)[users], dataset.known_user_features[users]
    found = retrieve(model.encoded, model.items, histories, known, _CANDIDATES, model.seen_events)
    nothing = np.zeros((len(events), 0), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ranker.onnx"
        export_ranker(model, path)
        session = OnnxSession(path)
        length, times = model.recipe.ranker.history, []
        for line in range(len(events)):
            one = slice(line, line + 1)
            user = UserInputs(vectors=found.user_vectors[one], features=features[one], context=nothing[one])
            inputs = ranker_inputs(model.items, latest_first(histories[one], length), user, found.candidates.at(one))
            for _ in range(_RUNS):
                started = time.perf_counter()
                session.run(inputs)
                times.append(time.perf_counter() - started)
    return median(times) * 1e6


def summary(runs: list[Figures]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of each figure."""
    of_keys = {key: [run[key] for run in runs] for key in runs[0]}
    return {key: {"mean": fmean(values), "std": float(deviation(values))} for key, values in of_keys.items()}


if __name__ == "__main__":
    sys.exit(main())
