"""A training run from data to a measured bundle."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict

from numpy import float32
from numpy.typing import NDArray

from shortlist.bundle.index_info import IndexInfo
from shortlist.bundle.json_text import json_text
from shortlist.bundle.manifest import Manifest
from trainer.analysis.measurement import baseline_lists, gain_of_ranking, measure_two_stage
from trainer.analysis.tables import figures_table, index_table
from trainer.baselines.linear import not_run
from trainer.data import Dataset
from trainer.data.split import evaluation_split, final_split
from trainer.export.bundle import export_bundle, flat
from trainer.export.publish import BASELINE, STAGES, check_metric, decide
from trainer.files import write_text
from trainer.jobs.inputs import read_inputs
from trainer.jobs.outputs import conclude_verdict, cost, page_facts, page_title, say_by_event
from trainer.jobs.publishing import conclude_decision
from trainer.models.pipeline import TrainedPipeline
from trainer.progress import Reporter
from trainer.protocols import DEFAULT
from trainer.protocols.next_like import next_like_task
from trainer.recipe import Recipe
from trainer.report import FIGURES, REPORT, Findings, Groups, ItemMap, People, Report, Run
from trainer.training.log import TrainingLog
from trainer.training.two_stage import fit_two_stage, refit_two_stage


def fit(options: argparse.Namespace, recipe: Recipe, started: float, reporter: Reporter) -> None:
    """Trains on the evaluation split, measures on the test, trains again on all data, and writes a bundle.

    The bundle holds the figures as JSON and a page for people.

    Raises:
        NotPublishedError: the bundle was to be published and is worse than the served one.
    """
    recipe, dataset = read_inputs(recipe, options.data, reporter, options.forgotten)
    check_metric(recipe)
    model, log, findings, gain = _measured(dataset, recipe, options.seed, reporter)
    against = conclude_verdict(findings, reporter)
    if recipe.split.refit:
        reporter.say("training again on all data, for serving, for as many epochs as were best")
        model = refit_two_stage(dataset, final_split(dataset, recipe.split), recipe, options.seed, reporter, log)
    figures = findings.runs[0].figures | log.validation | {STAGES: gain, BASELINE: against.gain}
    decision = decide(options.out, flat(figures), recipe, asked=options.publish, force=options.force)

    def report(index: IndexInfo) -> Mapping[str, str]:
        described = {
            **figures,
            "attribution": findings.attributions[0].plain(),
            "index_trials": [asdict(trial) for trial in index.trials],
            "late_items": model.late_items,
            "verdict": against.plain(),
            **({"by_event": findings.events_plain()} if findings.by_event else {}),
            "warnings": reporter.warnings,
            **cost(started),
        }
        page = _page(options, recipe, dataset, findings, model.encoded.vectors, reporter, started, index)
        return {FIGURES: json_text(described), REPORT: page}

    directory = export_bundle(
        model,
        dataset,
        figures,
        options.out,
        sign_key=options.sign_key,
        publish=decision.publish,
        forced=decision.forced,
        warnings=reporter.warnings,
        report=report,
    )
    for text in (index_table(Manifest.read(directory).index), figures_table(findings.figures)):
        reporter.say(text)
    say_by_event(findings, reporter)
    reporter.conclude(f"wrote {directory}, with the page {REPORT} and its figures in {FIGURES}")
    if options.report is not None:
        write_text(options.report, (directory / FIGURES).read_text(encoding="utf-8"))
        reporter.conclude(f"wrote {options.report}")
    conclude_decision(decision, directory, "fit", reporter)


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
    index: IndexInfo,
) -> str:
    queries = f"{findings.groups.queries:,}"
    return Report(
        title=page_title(options),
        facts=page_facts(options, dataset, started, protocol=DEFAULT, test_queries=queries, seeds="1"),
        warnings=reporter.warnings,
        found=findings,
        items=ItemMap.of(vectors, dataset.item_features),
        recipe=recipe,
        index=index,
    ).html()
