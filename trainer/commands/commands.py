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
from trainer.analysis import Attribution, RankerAttribution, described_attributions
from trainer.analysis.measurement import baseline_lists, lists_of_test, measure_two_stage
from trainer.analysis.tables import figures_table, index_table, mean_and_spread
from trainer.baselines.trees import has_lightgbm
from trainer.commands.evaluators import PREDICTIONS
from trainer.data import Dataset, load
from trainer.data.split import Split, evaluation_split, final_split
from trainer.errors import NotPublishedError
from trainer.evaluation.metrics import Figures, Lists
from trainer.export.bundle import by_model, export_bundle, flat
from trainer.export.checkpoint import load_dataset, load_two_stage
from trainer.export.publish import Decision, check_metric, decide
from trainer.models.encoders.encoded import Encoded
from trainer.models.rankers.objectives import objectives_of, served_objectives
from trainer.progress import Reporter
from trainer.protocols import DEFAULT, PROTOCOLS, Task
from trainer.protocols.next_like import next_like_task
from trainer.recipe import Recipe
from trainer.report import REPORT, Findings, Groups, ItemMap, PredictionReport, Report, Run, noted
from trainer.training.encoder.training import Validation
from trainer.training.log import TrainingLog
from trainer.training.two_stage import fit_retrieval, fit_two_stage

_WHAT_TO_DO = (
    "{id} is written, and is not served. If the data is meant to be so, `shortlist bundles pin {id} --bundles {root}` "
    "serves it, and `{command} --publish --force` publishes whatever comes of it"
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
    model, log = fit_two_stage(dataset, split, recipe, options.seed, reporter)
    lists, attribution = measure_two_stage(model, log, task, reporter)
    run = Run.of(baseline_lists(task) | lists, task, groups)
    logs = {"to be measured": log}
    if recipe.split.refit:
        reporter.say("training again on all of the data, for serving")
        model, log = fit_two_stage(dataset, final_split(dataset, recipe.split), recipe, options.seed, reporter)
        logs["to be served"] = log
    figures = run.figures | log.validation
    decision = decide(options.out, flat(figures), recipe, asked=options.publish, force=options.force)
    found = Findings(runs=[run], groups=groups, chosen_by=task.chosen_by, logs=logs, attributions=[attribution])
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
    measured = {**figures, "attribution": attribution.plain(), "index_trials": trials}
    _write_report(options.report, {**measured, **_cost(started)})
    _say_decision(decision, directory, "fit", reporter)


def evaluate(options: argparse.Namespace, reporter: Reporter) -> None:
    """Trains and measures for several seeds; the baselines do not depend on the seed."""
    started = time.monotonic()
    recipe, dataset = read_inputs(options.recipe, options.data, reporter)
    if options.protocol in PREDICTIONS:
        _evaluate_predictions(options, recipe, dataset, started, reporter)
        return
    task = PROTOCOLS[options.protocol](dataset, recipe, options.data)
    groups = Groups.of(task)
    baselines = Run.of(baseline_lists(task), task, groups)
    runs: list[Run] = []
    logs: dict[str, TrainingLog] = {}
    attributions: list[Attribution] = []
    for seed in range(options.seeds):
        reporter.say(f"seed {seed}")
        vectors, lists, logs[f"seed {seed}"], attribution = _evaluate_seed(task, recipe, seed, reporter)
        runs.append(baselines | Run.of(lists, task, groups))
        attributions += [] if attribution is None else [attribution]
    found = Findings(runs=runs, groups=groups, chosen_by=task.chosen_by, logs=logs, attributions=attributions)
    reporter.say(figures_table(found.figures))
    report = _described(options, [run.figures for run in runs], started)
    _write_report(options.report, report | _attributed(attributions))
    if options.report is not None:
        page = _page(options, recipe, task.dataset, found, vectors, started)
        _write_page(options.report, page)


def _evaluate_predictions(
    options: argparse.Namespace, recipe: Recipe, dataset: Dataset, started: float, reporter: Reporter
) -> None:
    found = PREDICTIONS[options.protocol](dataset, recipe, options.data, options.seeds, reporter)
    reporter.say(figures_table(found.figures))
    _write_report(options.report, _described(options, found.runs, started) | _attributed(found.attributions))
    if options.report is not None:
        facts = _facts(options, dataset, found.tested, options.seeds, started)
        page = PredictionReport(title=_title(options), facts=facts, found=found, recipe=recipe)
        _write_page(options.report, page.html())


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


def _attributed(attributions: Sequence[RankerAttribution]) -> dict[str, Any]:
    return {"attribution": described_attributions(attributions)} if attributions else {}


def _evaluate_seed(
    task: Task, recipe: Recipe, seed: int, reporter: Reporter
) -> tuple[NDArray[np.float32], Lists, TrainingLog, Attribution | None]:
    """The item vectors, the answers to the test, how training went, and of two stages what each has to do with it."""
    if task.both_stages:
        split = Split(encoder_end=task.learn_end, ranker_end=task.known_end, end=task.dataset.counts.interactions)
        model, log = fit_two_stage(task.dataset, split, recipe, seed, reporter, Validation.of(task))
        lists, attribution = measure_two_stage(model, log, task, reporter)
        if task.dataset.impressions is None and has_lightgbm(reporter):
            from trainer.baselines.trees.two_stage import fit_trees  # an extra has what it needs

            trees = fit_trees(model, task.dataset, split, seed, reporter)
            lists["lightgbm"] = lists_of_test(trees.scores, task)
        return model.encoded.vectors, lists, log, attribution
    trained = fit_retrieval(task, recipe, seed, reporter)
    encoded = Encoded.of(trained.encoder, recipe.encoder.history)
    lists = {"retrieval": lists_of_test(encoded.scores, task)}
    return encoded.vectors, lists, TrainingLog(encoder=trained.curve, encoder_chosen_by=task.chosen_by), None


def _page(
    options: argparse.Namespace,
    recipe: Recipe,
    dataset: Dataset,
    found: Findings,
    vectors: NDArray[np.float32],
    started: float,
    index: IndexInfo | None = None,
) -> str:
    return Report(
        title=_title(options),
        facts=_facts(options, dataset, found.groups.queries, len(found.runs), started),
        found=found,
        items=ItemMap.of(vectors, dataset.item_features),
        recipe=recipe,
        index=index,
    ).html()


def _title(options: argparse.Namespace) -> str:
    return f"{options.recipe.stem} on {options.data.resolve().name}"


def _facts(options: argparse.Namespace, dataset: Dataset, asked: int, seeds: int, started: float) -> dict[str, str]:
    counts, cost = dataset.counts, _cost(started)
    return {
        "data": options.data.resolve().name,
        "interactions": f"{counts.interactions:,}",
        "users": f"{counts.users:,}",
        "items": f"{counts.items:,}",
        "protocol": getattr(options, "protocol", DEFAULT),
        "asked on the test": f"{asked:,}",
        "seeds": str(seeds),
        "seconds": f"{cost['seconds']:,.0f}",
        "peak memory": f"{cost['peak_rss_mb']:,.0f} MB",
        "made": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def export(options: argparse.Namespace, reporter: Reporter) -> None:
    """Writes the models of a bundle into a new one, with the histories and counts of the data as it is now.

    Its figures and its page are those of the training: the gate compares them as if it had just ended.

    Raises:
        NotPublishedError: the bundle was to be published and is worse than the one that is served.
    """
    manifest = Manifest.read(options.bundle)
    dataset = _told(load_dataset(options.bundle, options.data), reporter)
    model = load_two_stage(options.bundle, dataset, end=dataset.counts.interactions)
    decision = decide(options.out, manifest.metrics, model.recipe, asked=options.publish, force=options.force)
    page = options.bundle / REPORT
    note = (
        f"Written again on {datetime.now(UTC):%Y-%m-%d} from {manifest.bundle_id}: the models and all that follows are "
        "of that bundle; the histories, the counts and the index are newer than this page."
    )
    directory = export_bundle(
        model,
        dataset,
        by_model(manifest.metrics),
        options.out,
        sign_key=options.sign_key,
        publish=decision.publish,
        forced=decision.forced or manifest.forced,
        report=(lambda _: noted(page.read_text(encoding="utf-8"), note)) if page.exists() else None,
    )
    reporter.say(f"wrote {directory}")
    _say_decision(decision, directory, "export", reporter)


def _say_decision(decision: Decision, directory: Path, command: str, reporter: Reporter) -> None:
    if decision.refused:
        what_to_do = _WHAT_TO_DO.format(id=directory.name, root=directory.parent, command=command)
        raise NotPublishedError(f"{decision.text}. {what_to_do}")
    reporter.say(f"{directory.name}: {decision.text}")


def read_inputs(recipe_path: Path, data: Path, reporter: Reporter) -> tuple[Recipe, Dataset]:
    """The recipe and the data of a command; from here on PyTorch gives the same for the same seed."""
    torch.use_deterministic_algorithms(True)
    recipe = Recipe.read(recipe_path)
    dataset = _told(load(data, recipe), reporter)
    # Now, and not after hours of training.
    served_objectives(objectives_of(recipe, dataset))
    return recipe, dataset


def _told(dataset: Dataset, reporter: Reporter) -> Dataset:
    counts, shown = dataset.counts, dataset.impressions
    reporter.say(
        f"read {counts.interactions:,} interactions of {counts.users:,} users with {counts.items:,} items; "
        f"{counts.duplicates_dropped:,} duplicates dropped, {counts.items_without_interactions:,} items without any"
    )
    if shown is not None:
        reporter.say(f"read {len(shown):,} impressions; {shown.unknown_items:,} of unknown items left out")
    return dataset


def _cost(started: float) -> dict[str, float]:
    peak_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": round(time.monotonic() - started, 1), "peak_rss_mb": round(peak_kilobytes / 1024)}


def _write_page(report: Path, page: str) -> None:
    """Beside the figures."""
    report.with_suffix(".html").write_text(page, encoding="utf-8")


def _write_report(path: Path | None, report: dict[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
