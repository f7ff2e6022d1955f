"""The measurement of a recipe by a protocol, with several seeds."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.analysis import Attribution, RankerAttribution, described_attributions
from trainer.analysis.measurement import baseline_lists, lists_of_test, measure_two_stage
from trainer.analysis.tables import figures_table, mean_and_spread
from trainer.baselines.linear import not_run
from trainer.baselines.trees import has_lightgbm
from trainer.data import Dataset
from trainer.data.split import Split
from trainer.evaluation.metrics import Figures, Lists
from trainer.files import PAGE
from trainer.jobs.evaluators import EVALUATORS
from trainer.jobs.inputs import read_inputs
from trainer.jobs.outputs import conclude_verdict, cost, page_facts, page_title, say_by_event, write_page, write_report
from trainer.models.encoders.encoded import Encoded
from trainer.progress import Reporter
from trainer.protocols.registry import PROTOCOLS
from trainer.protocols.task import Task
from trainer.recipe import Recipe
from trainer.report import Findings, Groups, ItemMap, PredictionReport, Report, Run
from trainer.training.encoder.training import Validation
from trainer.training.log import TrainingLog
from trainer.training.two_stage import fit_retrieval, fit_two_stage

_Evaluated = tuple[Sequence[Figures], Sequence[RankerAttribution], Report | PredictionReport]


def evaluate(options: argparse.Namespace, recipe: Recipe, started: float, reporter: Reporter) -> None:
    """Trains and measures with several seeds; the baselines do not depend on the seed."""
    recipe, dataset = read_inputs(recipe, options.data, reporter)
    evaluated = _predictions if options.protocol in EVALUATORS else _lists
    runs, attributions, page = evaluated(options, recipe, dataset, started, reporter)
    reporter.say(figures_table(mean_and_spread(runs)))
    attributed = {"attribution": described_attributions(attributions)} if attributions else {}
    by_event = {}
    if isinstance(page, Report) and page.found.by_event:
        say_by_event(page.found, reporter)
        by_event = {"by_event": page.found.events_plain()}
    against = conclude_verdict(page.found, reporter)
    said = {"verdict": against.plain(), "warnings": reporter.warnings}
    write_report(options.report, _described(options, runs, started) | by_event | attributed | said)
    if options.report is not None:
        write_page(options.report, replace(page, warnings=reporter.warnings).html())
        reporter.conclude(f"wrote {options.report}, with {options.report.with_suffix(PAGE).name}")


def _lists(
    options: argparse.Namespace, recipe: Recipe, dataset: Dataset, started: float, reporter: Reporter
) -> _Evaluated:
    """Evaluates a protocol of ranked lists."""
    task = PROTOCOLS[options.protocol](dataset, recipe, options.data)
    for text in task.warnings:
        reporter.warn(text)
    groups = Groups.of(task)
    baselines = Run.of(baseline_lists(task), task, groups)
    runs: list[Run] = []
    logs: dict[str, TrainingLog] = {}
    attributions: list[Attribution] = []
    for seed in range(options.seeds):
        reporter.say(f"seed {seed}")
        vectors, lists, logs[f"seed {seed}"], attribution = _seed(task, recipe, seed, reporter)
        runs.append(baselines | Run.of(lists, task, groups))
        attributions += [] if attribution is None else [attribution]
    page = Report(
        title=page_title(options),
        facts=_facts(options, task.dataset, started, test_queries=f"{groups.queries:,}"),
        found=Findings(
            runs=runs,
            groups=groups,
            chosen_by=task.chosen_by,
            logs=logs,
            attributions=attributions,
            not_run=not_run(task.dataset),
        ),
        items=ItemMap.of(vectors, task.dataset.item_features),
        recipe=recipe,
    )
    return [run.figures for run in runs], attributions, page


def _seed(
    task: Task, recipe: Recipe, seed: int, reporter: Reporter
) -> tuple[NDArray[np.float32], Lists, TrainingLog, Attribution | None]:
    """The item vectors, the answers to the test, the log of the training, and, of two stages, the attribution."""
    if not task.both_stages:
        trained = fit_retrieval(task, recipe, seed, reporter)
        encoded = Encoded.of(trained.encoder, recipe.encoder.history)
        lists = {"retrieval": lists_of_test(encoded.scores, task)}
        return encoded.vectors, lists, TrainingLog(encoder=trained.curve, encoder_chosen_by=task.chosen_by), None
    split = Split(encoder_end=task.learn_end, ranker_end=task.known_end, end=task.dataset.counts.interactions)
    model, log = fit_two_stage(task.dataset, split, recipe, seed, reporter, Validation.of(task))
    lists, attribution = measure_two_stage(model, log, task, reporter)
    if task.dataset.impressions is None and has_lightgbm(reporter):
        from trainer.baselines.trees.two_stage import fit_trees  # needs an extra

        trees = fit_trees(model, task.dataset, split, seed, reporter)
        lists["lightgbm"] = lists_of_test(trees.scores, task)
    return model.encoded.vectors, lists, log, attribution


def _predictions(
    options: argparse.Namespace, recipe: Recipe, dataset: Dataset, started: float, reporter: Reporter
) -> _Evaluated:
    """Evaluates a protocol of predictions."""
    result = EVALUATORS[options.protocol](dataset, recipe, options.data, options.seeds, reporter)
    facts = _facts(options, dataset, started, test_predictions=f"{result.tested:,}")
    page = PredictionReport(title=page_title(options), facts=facts, found=result, recipe=recipe)
    return result.runs, result.attributions, page


def _facts(options: argparse.Namespace, dataset: Dataset, started: float, **tested: str) -> dict[str, str]:
    return page_facts(options, dataset, started, protocol=options.protocol, **tested, seeds=str(options.seeds))


def _described(options: argparse.Namespace, runs: Sequence[Figures], started: float) -> dict[str, Any]:
    """The figures as JSON has them: mean and standard deviation over the seeds, and each seed's."""
    figures = mean_and_spread(runs)
    return {
        "protocol": options.protocol,
        "recipe": options.recipe.stem,
        "data": options.data.resolve().name,
        "seeds": options.seeds,
        "figures": {name: {key: {"mean": m, "std": s} for key, (m, s) in row.items()} for name, row in figures.items()},
        "runs": list(runs),
        **cost(started),
    }
