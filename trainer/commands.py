"""What the commands of the trainer do."""

import argparse
import json
import resource
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from shortlist.bundle.manifest import Manifest
from trainer.checkpoint import load_two_stage
from trainer.data import Dataset, load
from trainer.errors import NotPublishedError
from trainer.export import export_bundle, flat
from trainer.fit import (
    Figures,
    evaluate_baselines,
    evaluate_retrieval,
    evaluate_two_stage,
    fit_retrieval,
    fit_two_stage,
)
from trainer.progress import Reporter
from trainer.protocols import PROTOCOLS, TWO_STAGE, Task
from trainer.protocols.next_like import next_like_task
from trainer.publish import check_metric, decide
from trainer.recipe import Recipe
from trainer.split import Split, evaluation_split, final_split
from trainer.tables import figures_table, index_table, mean_and_spread

_WHAT_TO_DO = (
    "{id} is written, and is not served. If the data is meant to be so, `shortlist bundles pin {id} --bundles {root}` "
    "serves it, and `fit --publish --force` trains and publishes whatever comes of it"
)


def fit(options: argparse.Namespace, reporter: Reporter) -> None:
    """Trains on the evaluation's slices, measures on the test, trains again on all of the data, writes a bundle.

    Raises:
        NotPublishedError: the bundle was to be published and is worse than the one that is served.
    """
    started = time.monotonic()
    recipe, dataset = _read(options.recipe, options.data, reporter)
    check_metric(recipe)
    split = evaluation_split(dataset, recipe.split)
    model = fit_two_stage(dataset, split, recipe, options.seed, reporter)
    figures = evaluate_baselines(next_like_task(dataset, split)) | evaluate_two_stage(model, dataset, split)
    if recipe.split.refit:
        reporter.say("training again on all of the data, for serving")
        model = fit_two_stage(dataset, final_split(dataset, recipe.split), recipe, options.seed, reporter)
    measured = figures | model.log.validation
    decision = decide(options.out, flat(measured), recipe, asked=options.publish, force=options.force)
    directory = export_bundle(
        model,
        dataset,
        measured,
        options.out,
        sign_key=options.sign_key,
        publish=decision.publish,
        forced=decision.forced,
    )
    reporter.say(f"wrote {directory}")
    index = Manifest.read(directory).index
    reporter.say(index_table(index))
    reporter.say(
        figures_table({name: {key: (value, 0.0) for key, value in row.items()} for name, row in figures.items()})
    )
    trials = [asdict(trial) for trial in index.trials]
    _write_report(options.report, {**measured, "index_trials": trials, **_cost(started)})
    if decision.refused:
        raise NotPublishedError(f"{decision.text}. {_WHAT_TO_DO.format(id=directory.name, root=options.out)}")
    reporter.say(f"{directory.name}: {decision.text}")


def evaluate(options: argparse.Namespace, reporter: Reporter) -> None:
    """Trains and measures for several seeds; the baselines do not depend on the seed."""
    started = time.monotonic()
    recipe, dataset = _read(options.recipe, options.data, reporter)
    task = PROTOCOLS[options.protocol](dataset, recipe, options.data)
    baselines = evaluate_baselines(task)
    runs: list[Figures] = []
    for seed in range(options.seeds):
        reporter.say(f"seed {seed}")
        runs.append(baselines | _evaluate_seed(task, recipe, seed, reporter, both=options.protocol == TWO_STAGE))
    figures = mean_and_spread(runs)
    reporter.say(figures_table(figures))
    described = {name: {key: {"mean": m, "std": s} for key, (m, s) in row.items()} for name, row in figures.items()}
    report = {
        "protocol": options.protocol,
        "recipe": options.recipe.stem,
        "data": options.data.resolve().name,
        "seeds": options.seeds,
        "figures": described,
        "runs": runs,
        **_cost(started),
    }
    _write_report(options.report, report)


def _evaluate_seed(task: Task, recipe: Recipe, seed: int, reporter: Reporter, *, both: bool) -> Figures:
    if both:
        split = Split(encoder_end=task.learn_end, ranker_end=task.known_end, end=task.dataset.counts.interactions)
        return evaluate_two_stage(fit_two_stage(task.dataset, split, recipe, seed, reporter), task.dataset, split)
    trained = fit_retrieval(task, recipe, seed, reporter)
    return {"retrieval": evaluate_retrieval(trained, task, recipe)}


def export(options: argparse.Namespace, reporter: Reporter) -> None:
    """Writes the models of a bundle into a new one, with the histories and counts of the data as it is now."""
    manifest = Manifest.read(options.bundle)
    dataset = _load(options.data, Recipe.of(manifest.recipe), reporter)
    model = load_two_stage(options.bundle, dataset, end=dataset.counts.interactions)
    figures: Figures = {}
    for key, value in manifest.metrics.items():
        name, _, metric = key.rpartition("/")
        figures.setdefault(name, {})[metric] = value
    reporter.say(f"wrote {export_bundle(model, dataset, figures, options.out, sign_key=options.sign_key)}")


def _read(recipe_path: Path, data: Path, reporter: Reporter) -> tuple[Recipe, Dataset]:
    torch.use_deterministic_algorithms(True)
    recipe = Recipe.read(recipe_path)
    return recipe, _load(data, recipe, reporter)


def _load(data: Path, recipe: Recipe, reporter: Reporter) -> Dataset:
    dataset = load(data, recipe)
    counts = dataset.counts
    reporter.say(
        f"read {counts.interactions:,} interactions of {counts.users:,} users with {counts.items:,} items; "
        f"{counts.duplicates_dropped:,} duplicates dropped, {counts.items_without_interactions:,} items without any"
    )
    return dataset


def _cost(started: float) -> dict[str, float]:
    peak_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": round(time.monotonic() - started, 1), "peak_rss_mb": round(peak_kilobytes / 1024)}


def _write_report(path: Path | None, report: dict[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
