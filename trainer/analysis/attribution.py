"""The attribution of the test's figures: to the stages, the objectives and the features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.tables import ItemTables
from trainer.analysis.chain import Chain, chain
from trainer.analysis.importance import importance
from trainer.analysis.objectives import ObjectiveFigures, figures_of_objectives
from trainer.data import Dataset
from trainer.data.split import subsample
from trainer.evaluation.metrics import Rankings
from trainer.features.layout import without_id_embeddings
from trainer.models.pipeline import TrainedPipeline
from trainer.models.rankers.calibration import Calibration
from trainer.models.rankers.id_embeddings import IdEmbeddingLayer
from trainer.progress import Reporter
from trainer.protocols.task import Task
from trainer.training.ranker.examples import RankerExamples
from trainer.training.ranker.fit import TrainedRanker
from trainer.training.ranker.impressions import RankerImpressions
from trainer.training.ranker.labels import warn_of_one_class
from trainer.training.ranker.retrieved_examples import RetrievedExamples

_MOST_EVENTS = 2000
# Candidates of a sample in all.
_CANDIDATES = 400_000
Examples = tuple[RankerExamples, RankerExamples]
"""The examples that judge the objectives, and those that judge the order."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RankerAttribution:
    """The quality of each event objective, and the ``importance`` of each group of features.

    The importance is the ranker's loss of the metric ``importance_of`` without the group.
    """

    objectives: dict[str, ObjectiveFigures]
    importance: dict[str, float]
    importance_of: str

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "objectives": {name: figures.plain() for name, figures in self.objectives.items()},
            "importance": self.importance,
            "importance_of": self.importance_of,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Attribution(RankerAttribution):
    """The same with the ``chain`` from the catalogue to the order."""

    chain: Chain

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.chain.plain(), **super().plain()}


def attribute(
    model: TrainedPipeline,
    calibrations: Mapping[str, Calibration],
    task: Task,
    retrieved: Rankings,
    ranked: Rankings,
    reporter: Reporter,
) -> Attribution:
    """The attribution of a freshly trained model, from its answers to the test.

    The objectives and the importance use an even sample of at most two thousand events of the test. The objectives
    sample all events, the importance only the relevant ones.
    """
    items = replace(model.items, features=without_id_embeddings(model.items.features, model.layout.id_embeddings))
    added = chain(model, task, retrieved, ranked, reporter)
    examples = (_of_retrieved if task.dataset.impressions is None else _of_impressions)(model, items, task)
    if not examples[0].contrasted:
        warn_of_one_class(model.objectives, examples[0].targets, "test", reporter)
    trained = TrainedRanker(ranker=model.ranker, id_embeddings=IdEmbeddingLayer.of(model.id_embeddings))
    found = attribute_ranker(trained, *examples, calibrations, reporter)
    return Attribution(chain=added, **vars(found))


def attribute_ranker(
    trained: TrainedRanker,
    of_objectives: RankerExamples,
    of_order: RankerExamples,
    calibrations: Mapping[str, Calibration],
    reporter: Reporter,
) -> RankerAttribution:
    """The attribution of a ranker on the examples that judge its objectives, and those that judge its order."""
    if not len(of_objectives.targets):
        return RankerAttribution(objectives={}, importance={}, importance_of=of_order.chosen_by)

    def logits(asked: NDArray[np.int64]) -> NDArray[np.float32]:
        return trained.predict(of_objectives.inputs, asked)

    outcomes = of_objectives.outcomes(logits, np.arange(len(of_objectives.targets)))
    return RankerAttribution(
        objectives=figures_of_objectives(outcomes, calibrations),
        importance=importance(of_order, trained, reporter),
        importance_of=of_order.chosen_by,
    )


def _of_retrieved(model: TrainedPipeline, items: ItemTables, task: Task) -> Examples:
    data = task.dataset
    after = np.arange(task.known_end, len(data.times))
    of_objectives = _examples(model, items, data, after[data.position[after] >= 1])
    relevant = [data.user_events[slice(*span)] for span in task.test.targets]
    of_order = _examples(model, items, data, np.sort(np.concatenate(relevant)))
    of_order = replace(of_order, likes=np.ones_like(of_order.likes))
    return of_objectives, of_order


def _of_impressions(model: TrainedPipeline, items: ItemTables, task: Task) -> Examples:
    """A sample of the impressions in the time of the test."""
    ranked = RankerImpressions(dataset=task.dataset, recipe=model.recipe, encoded=model.encoded)
    rows = np.arange(ranked.impressions.until(task.dataset.time_of(task.known_end)), len(ranked.impressions))
    rows = subsample(rows, _MOST_EVENTS)
    examples = ranked.later(rows, items, model.objectives, model.layout)
    return examples, examples


def described_attributions(runs: Sequence[RankerAttribution]) -> dict[str, Any]:
    """The mean of each number over several seeds, and the numbers of each run; None where a run has none."""
    plain = [run.plain() for run in runs]
    return {"mean": _mean(plain), "runs": plain}


def _mean(values: Sequence[Any]) -> Any:  # noqa: ANN401 - a number, a text or a mapping of them
    first = values[0]
    if isinstance(first, dict):
        parts = {name: [value.get(name) for value in values] for name in first}
        return {name: _mean(part) for name, part in parts.items() if not isinstance(part[0], list)}
    if any(value is None for value in values):
        return None
    return first if isinstance(first, str) else float(np.mean(values))


def _examples(
    model: TrainedPipeline, items: ItemTables, dataset: Dataset, events: NDArray[np.int64]
) -> RetrievedExamples:
    candidates = model.recipe.ranker.candidates
    sample = subsample(events, min(_MOST_EVENTS, max(1, _CANDIDATES // candidates)))
    return RetrievedExamples.of(dataset, model.encoded, items, sample, model.objectives, model.recipe.ranker)
