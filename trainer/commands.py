"""What the commands of the trainer do."""

import argparse
import json
import resource
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shortlist.bundle.manifest import IndexInfo, Manifest
from trainer.data import Dataset, load
from trainer.encode import Encoded
from trainer.errors import NotPublishedError
from trainer.evaluation.split import Split, evaluation_split, final_split
from trainer.evaluation.tables import figures_table, index_table, mean_and_spread
from trainer.export.bundle import export_bundle, flat
from trainer.export.checkpoint import load_two_stage
from trainer.export.publish import check_metric, decide
from trainer.fit import (
    Figures,
    Lists,
    baseline_lists,
    fit_retrieval,
    fit_two_stage,
    lists_of_test,
    two_stage_lists,
)
from trainer.progress import Reporter
from trainer.protocols import DEFAULT, PROTOCOLS, Task
from trainer.protocols.impressions import IMPRESSIONS, impressions
from trainer.protocols.next_like import next_like_task
from trainer.ranker_run import RankerRun
from trainer.recipe import Recipe
from trainer.report import REPORT, Findings, Groups, ItemMap, Report, Run
from trainer.training.encoder import Validation
from trainer.training.log import TrainingLog

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
    recipe, dataset = read_inputs(options.recipe, options.data, reporter)
    check_metric(recipe)
    split = evaluation_split(dataset, recipe.split)
    task = next_like_task(dataset, split)
    groups = Groups.of(task)
    model = fit_two_stage(dataset, split, recipe, options.seed, reporter)
    run = Run.of(baseline_lists(task) | two_stage_lists(model, task), task, groups)
    logs = {"to be measured": model.log}
    if recipe.split.refit:
        reporter.say("training again on all of the data, for serving")
        model = fit_two_stage(dataset, final_split(dataset, recipe.split), recipe, options.seed, reporter)
        logs["to be served"] = model.log
    figures = run.figures | model.log.validation
    decision = decide(options.out, flat(figures), recipe, asked=options.publish, force=options.force)
    found = Findings(runs=[run], groups=groups, chosen_by=task.chosen_by, logs=logs)
    directory = export_bundle(
        model,
        dataset,
        figures,
        options.out,
        sign_key=options.sign_key,
        publish=decision.publish,
        forced=decision.forced,
        report=lambda index: _page(options, recipe, dataset, found, model.encoded.vectors, started, index),
    )
    reporter.say(f"wrote {directory}, with {REPORT}")
    index = Manifest.read(directory).index
    reporter.say(index_table(index))
    reporter.say(figures_table(found.figures))
    trials = [asdict(trial) for trial in index.trials]
    _write_report(options.report, {**figures, "index_trials": trials, **_cost(started)})
    if decision.refused:
        raise NotPublishedError(f"{decision.text}. {_WHAT_TO_DO.format(id=directory.name, root=options.out)}")
    reporter.say(f"{directory.name}: {decision.text}")


def evaluate(options: argparse.Namespace, reporter: Reporter) -> None:
    """Trains and measures for several seeds; the baselines do not depend on the seed."""
    started = time.monotonic()
    recipe, dataset = read_inputs(options.recipe, options.data, reporter)
    if options.protocol == IMPRESSIONS:
        _evaluate_ranker(dataset, recipe, options, reporter, started)
        return
    task = PROTOCOLS[options.protocol](dataset, recipe, options.data)
    groups = Groups.of(task)
    baselines = Run.of(baseline_lists(task), task, groups)
    runs: list[Run] = []
    logs: dict[str, TrainingLog] = {}
    for seed in range(options.seeds):
        reporter.say(f"seed {seed}")
        vectors, lists, logs[f"seed {seed}"] = _evaluate_seed(task, recipe, seed, reporter)
        runs.append(baselines | Run.of(lists, task, groups))
    found = Findings(runs=runs, groups=groups, chosen_by=task.chosen_by, logs=logs)
    reporter.say(figures_table(found.figures))
    _write_report(options.report, _described(options, [run.figures for run in runs], started))
    if options.report is not None:
        page = _page(options, recipe, task.dataset, found, vectors, started)
        options.report.with_suffix(".html").write_text(page, encoding="utf-8")


def _evaluate_ranker(
    dataset: Dataset, recipe: Recipe, options: argparse.Namespace, reporter: Reporter, started: float
) -> None:
    """The second stage by itself, on what was shown; there is no page of it."""
    split = impressions(dataset, recipe, options.data)
    runs: list[Figures] = []
    for seed in range(options.seeds):
        reporter.say(f"seed {seed}")
        runs.append({"ranker": RankerRun(dataset, split, recipe, seed, reporter).figures()})
    reporter.say(figures_table(mean_and_spread(runs)))
    _write_report(options.report, _described(options, runs, started))


def _described(options: argparse.Namespace, runs: Sequence[Figures], started: float) -> dict[str, Any]:
    figures = mean_and_spread(runs)
    return {
        "protocol": options.protocol,
        "recipe": options.recipe.stem,
        "data": options.data.resolve().name,
        "seeds": options.seeds,
        "figures": {name: {key: {"mean": m, "std": s} for key, (m, s) in row.items()} for name, row in figures.items()},
        "runs": list(runs),
        **_cost(started),
    }


def _evaluate_seed(
    task: Task, recipe: Recipe, seed: int, reporter: Reporter
) -> tuple[NDArray[np.float32], Lists, TrainingLog]:
    """The item vectors, the answers to the test, and how training went."""
    if task.both_stages:
        split = Split(encoder_end=task.learn_end, ranker_end=task.known_end, end=task.dataset.counts.interactions)
        model = fit_two_stage(task.dataset, split, recipe, seed, reporter, Validation.of(task))
        return model.encoded.vectors, two_stage_lists(model, task), model.log
    trained = fit_retrieval(task, recipe, seed, reporter)
    encoded = Encoded.of(trained.encoder, recipe.encoder.history)
    return encoded.vectors, {"retrieval": lists_of_test(encoded.scores, task)}, TrainingLog(encoder=trained.curve)


def _page(
    options: argparse.Namespace,
    recipe: Recipe,
    dataset: Dataset,
    found: Findings,
    vectors: NDArray[np.float32],
    started: float,
    index: IndexInfo | None = None,
) -> str:
    counts, cost = dataset.counts, _cost(started)
    facts = {
        "data": options.data.resolve().name,
        "interactions": f"{counts.interactions:,}",
        "users": f"{counts.users:,}",
        "items": f"{counts.items:,}",
        "protocol": getattr(options, "protocol", DEFAULT),
        "asked on the test": f"{found.groups.queries:,}",
        "seeds": str(len(found.runs)),
        "seconds": f"{cost['seconds']:,.0f}",
        "peak memory": f"{cost['peak_rss_mb']:,.0f} MB",
        "made": f"{datetime.now(UTC):%Y-%m-%d}",
    }
    return Report(
        title=f"{options.recipe.stem} on {options.data.resolve().name}",
        facts=facts,
        found=found,
        items=ItemMap.of(vectors, dataset.item_features),
        recipe=recipe,
        index=index,
    ).html()


def export(options: argparse.Namespace, reporter: Reporter) -> None:
    """Writes the models of a bundle into a new one, with the histories and counts of the data as it is now.

    It becomes the current one: its models were judged when they were trained.
    """
    manifest = Manifest.read(options.bundle)
    dataset = _load(options.data, Recipe.of(manifest.recipe), reporter)
    model = load_two_stage(options.bundle, dataset, end=dataset.counts.interactions)
    figures: Figures = {}
    for key, value in manifest.metrics.items():
        name, _, metric = key.rpartition("/")
        figures.setdefault(name, {})[metric] = value
    written = export_bundle(model, dataset, figures, options.out, sign_key=options.sign_key, forced=manifest.forced)
    reporter.say(f"wrote {written}")


def read_inputs(recipe_path: Path, data: Path, reporter: Reporter) -> tuple[Recipe, Dataset]:
    """The recipe and the data of a command; from here on PyTorch gives the same for the same seed."""
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
