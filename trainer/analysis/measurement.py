"""The answers of models to a task's test, and their figures."""

from collections.abc import Sequence
from dataclasses import replace

from trainer.analysis.attribution import Attribution, attribute
from trainer.analysis.chain import DEPTH as RETRIEVED
from trainer.baselines.linear import baselines_for
from trainer.evaluation.metrics import Figures, Lists, Rankings, depth_of, figures, of_queries
from trainer.evaluation.paired import paired_difference
from trainer.evaluation.rankings import Scorer, rankings
from trainer.models.pipeline import TrainedPipeline
from trainer.progress import Reporter
from trainer.protocols.task import Task
from trainer.training.log import TrainingLog

# The length of the lists in a report.
_DEPTH = 200
EVENT_METRICS = ("hr@10", "ndcg@10")
"""The figures of the questions about a kind of event."""
GAIN, GAIN_INTERVAL = "ndcg@10_gain", "ndcg@10_gain_interval"


def evaluate_two_stage(model: TrainedPipeline, task: Task) -> Figures:
    """The test's figures of both stages."""
    return figures_of(two_stage_lists(model, task), task.metrics)


def two_stage_lists(model: TrainedPipeline, task: Task) -> Lists:
    """The answers to the test of stage one alone, and of both together."""
    return {
        "retrieval": lists_of_test(model.encoded.scores, task),
        "two_stage": lists_of_test(model.scores, task),
    }


def measure_two_stage(
    model: TrainedPipeline, log: TrainingLog, task: Task, reporter: Reporter
) -> tuple[Lists, Attribution]:
    """The same answers, and each stage's part in them, for a freshly trained model."""
    retrieved = rankings(model.encoded.scores, task.test, RETRIEVED, task.known_end)
    ranked = lists_of_test(model.scores, task)
    shown = _with_events(retrieved.first(ranked.hits.shape[1]), model.encoded.scores, task)
    lists = {"retrieval": shown, "two_stage": ranked}
    return lists, attribute(model, log.calibrations, task, retrieved, ranked, reporter)


def gain_of_ranking(lists: Lists) -> dict[str, float]:
    """The gain of both stages over retrieval alone in nDCG@10, and half of its 95 % interval over the queries."""
    one, both = (of_queries(lists[name], "ndcg@10") for name in ("retrieval", "two_stage"))
    gain, interval = paired_difference(both, one)
    return {GAIN: gain, GAIN_INTERVAL: interval}


def baseline_lists(task: Task) -> Lists:
    """The baselines' answers to the test; they learn from everything before it."""
    chosen = baselines_for(task.dataset)
    return {name: lists_of_test(fit(task.dataset, task.known_end), task) for name, fit in chosen.items()}


def lists_of_test(scorer: Scorer, task: Task) -> Rankings:
    """The answers to the test of a function that scores items, and to its questions about each kind of event."""
    lists = rankings(scorer, task.test, max(_DEPTH, depth_of(task.metrics)), task.known_end)
    return _with_events(lists, scorer, task)


def _with_events(lists: Rankings, scorer: Scorer, task: Task) -> Rankings:
    depth = depth_of(EVENT_METRICS)
    by_event = {name: rankings(scorer, asked, depth, task.known_end) for name, asked in task.by_event.items()}
    return replace(lists, by_event=by_event)


def figures_of(lists: Lists, metrics: Sequence[str]) -> Figures:
    """The metrics of each model's lists."""
    return {name: figures(one, metrics) for name, one in lists.items()}


def figures_by_event(lists: Lists) -> dict[str, Figures]:
    """By the kind of event, the :data:`EVENT_METRICS` of each model's lists."""
    kinds = next(iter(lists.values())).by_event
    return {kind: {name: figures(one.by_event[kind], EVENT_METRICS) for name, one in lists.items()} for kind in kinds}
