"""``python -m trainer fit``."""

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict

from numpy import float32
from numpy.typing import NDArray

from shortlist.bundle.index_info import IndexInfo
from shortlist.bundle.manifest import Manifest
from trainer.analysis.measurement import baseline_lists, gain_of_ranking, measure_two_stage
from trainer.analysis.tables import figures_table, index_table
from trainer.baselines.linear import not_run
from trainer.commands.inputs import add_forgotten, add_inputs, read_inputs
from trainer.commands.outputs import (
    add_report,
    check_report,
    cost,
    page_facts,
    page_title,
    say_by_event,
    say_verdict,
    write_report,
)
from trainer.commands.publishing import add_publishing, check_publishing, report_decision
from trainer.data import Dataset
from trainer.data.split import evaluation_split, final_split
from trainer.export.bundle import export_bundle, flat
from trainer.export.publish import BASELINE, STAGES, check_metric, decide
from trainer.models.pipeline import TrainedPipeline
from trainer.progress import Reporter
from trainer.protocols import DEFAULT
from trainer.protocols.next_like import next_like_task
from trainer.recipe import Recipe
from trainer.report import REPORT, Findings, Groups, ItemMap, People, Report, Run
from trainer.training.log import TrainingLog
from trainer.training.two_stage import fit_two_stage, refit_two_stage

HELP = "train both stages, measure them, and write a bundle; --publish serves it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_inputs(parser)
    add_forgotten(parser)
    add_report(parser, "also write the figures to this JSON file")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same models (default: 0)")
    add_publishing(parser)


def run(options: argparse.Namespace, reporter: Reporter) -> None:
    """Trains on the evaluation split, measures on the test, trains again on all data, and writes a bundle.

    Raises:
        NotPublishedError: the bundle was to be published and is worse than the served one.
    """
    started = time.monotonic()
    check_publishing(options)
    check_report(options.report)
    recipe, dataset = read_inputs(options.recipe, options.data, reporter, options.forgotten)
    check_metric(recipe)
    model, log, findings, gain = _measured(dataset, recipe, options.seed, reporter)
    against = say_verdict(findings, reporter)
    if recipe.split.refit:
        reporter.say("training again on all data, for serving, for as many epochs as were best")
        model = refit_two_stage(dataset, final_split(dataset, recipe.split), recipe, options.seed, reporter, log)
    figures = findings.runs[0].figures | log.validation | {STAGES: gain, BASELINE: against.gain}
    decision = decide(options.out, flat(figures), recipe, asked=options.publish, force=options.force)
    directory = export_bundle(
        model,
        dataset,
        figures,
        options.out,
        sign_key=options.sign_key,
        publish=decision.publish,
        forced=decision.forced,
        warnings=reporter.warnings,
        report=_page(options, recipe, dataset, findings, model.encoded.vectors, reporter, started),
    )
    index = Manifest.read(directory).index
    for text in (f"wrote {directory}, with {REPORT}", index_table(index), figures_table(findings.figures)):
        reporter.say(text)
    say_by_event(findings, reporter)
    [attribution] = findings.attributions
    trials = [asdict(trial) for trial in index.trials]
    measured = {
        **figures,
        "attribution": attribution.plain(),
        "index_trials": trials,
        "late_items": model.late_items,
        "verdict": against.plain(),
        **({"by_event": findings.events_plain()} if findings.by_event else {}),
        "warnings": reporter.warnings,
    }
    write_report(options.report, {**measured, **cost(started)})
    report_decision(decision, directory, "fit", reporter)


def _measured(
    dataset: Dataset, recipe: Recipe, seed: int, reporter: Reporter
) -> tuple[TrainedPipeline, TrainingLog, Findings, dict[str, float]]:
    """Both stages of the evaluation split, their log, the findings on its test, and the gain of the second stage."""
    split = evaluation_split(dataset, recipe.split)
    task = next_like_task(dataset, split)
    groups = Groups.of(task)
    model, log = fit_two_stage(dataset, split, recipe, seed, reporter)
    lists, attribution = measure_two_stage(model, log, task, reporter)
    lists = baseline_lists(task) | lists
    findings = Findings(
        runs=[Run.of(lists, task, groups)],
        groups=groups,
        chosen_by=task.chosen_by,
        logs={"measured": log},
        attributions=[attribution],
        not_run=not_run(dataset),
        people=People.of(lists, task),
    )
    return model, log, findings, gain_of_ranking(lists)


def _page(
    options: argparse.Namespace,
    recipe: Recipe,
    dataset: Dataset,
    findings: Findings,
    vectors: NDArray[float32],
    reporter: Reporter,
    started: float,
) -> Callable[[IndexInfo], str]:
    """The page of a bundle, once its index is chosen."""

    def page(index: IndexInfo) -> str:
        queries = f"{findings.groups.queries:,}"
        facts = page_facts(options, dataset, started, protocol=DEFAULT, test_queries=queries, seeds="1")
        items = ItemMap.of(vectors, dataset.item_features)
        title = page_title(options)
        return Report(
            title=title,
            facts=facts,
            warnings=reporter.warnings,
            found=findings,
            items=items,
            recipe=recipe,
            index=index,
        ).html()

    return page
