"""From the catalogue to the candidates to their order: the losses and the gains on the way."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.split import subsample
from trainer.evaluation.metrics import Rankings, depth_of, figures
from trainer.evaluation.queries import Profiles
from trainer.evaluation.rankings import rankings
from trainer.models.pipeline import TrainedPipeline
from trainer.progress import Reporter
from trainer.protocols.task import Task

METRIC = "ndcg@10"
_CUTS = (50, 100, 200, 500)
DEPTH = max(_CUTS)
"""The inspected length of retrieval's lists."""
LARGEST_CATALOGUE = 100_000
"""In items; the ranker does not order a larger catalogue, because the time for a user grows with its size."""
_MOST_QUERIES = 2000
# Items ranked in all, and at once.
_RANKED, _TOGETHER = 10_000_000, 100_000


@dataclass(frozen=True, kw_only=True)
class WholeCatalogue:
    """The ranker's nDCG@10 over all ``items`` and over the ``candidates`` alone, of as many ``queries`` of the test."""

    queries: int
    items: float
    candidates: float

    @property
    def loss(self) -> float | None:
        """The share of the former that the latter lacks; None when the former is 0."""
        return -change(self.items, self.candidates) if self.items else None


@dataclass(frozen=True, kw_only=True)
class Chain:
    """On the test: retrieval's ``recall`` by k, and the nDCG@10 of retrieval and of both stages.

    ``whole`` is None for a catalogue that is too large.
    """

    items: int
    candidates: int
    recall: dict[int, float]
    retrieval: float
    two_stage: float
    whole: WholeCatalogue | None

    @property
    def looked_at(self) -> int:
        """The largest k of ``recall`` that is no larger than the candidates."""
        return min(self.candidates, DEPTH)

    @property
    def gain(self) -> float | None:
        """The relative gain of the ranker's order over retrieval's; None when retrieval has 0."""
        return change(self.retrieval, self.two_stage) if self.retrieval else None

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        whole = self.whole
        return {
            **{f"recall@{k}": value for k, value in self.recall.items()},
            "retrieval": self.retrieval,
            "two_stage": self.two_stage,
            "gain": self.gain,
            "whole_catalogue": f"left out above {LARGEST_CATALOGUE:,} items" if whole is None else _plain(whole),
        }


def chain(model: TrainedPipeline, task: Task, retrieved: Rankings, ranked: Rankings, reporter: Reporter) -> Chain:
    """The chain of the test's answers: by stage one alone, at most ``DEPTH`` deep, and by both stages."""
    items = int(task.test.listed.sum())
    candidates = min(model.recipe.ranker.candidates, items)
    cuts = sorted({*(k for k in _CUTS if k < items), min(candidates, DEPTH)})
    return Chain(
        items=items,
        candidates=candidates,
        recall={k: figures(retrieved, [f"recall@{k}"])[f"recall@{k}"] for k in cuts},
        retrieval=_figure(retrieved),
        two_stage=_figure(ranked),
        whole=_whole_catalogue(model, task, ranked, reporter) if items <= LARGEST_CATALOGUE else None,
    )


def change(before: float, after: float) -> float:
    """The relative difference."""
    return after / before - 1.0


def _whole_catalogue(model: TrainedPipeline, task: Task, ranked: Rankings, reporter: Reporter) -> WholeCatalogue:
    """The ranker gets the whole catalogue as its candidates, in retrieval's order."""
    items = len(task.dataset.item_ids)
    sample = subsample(np.arange(len(task.test)), min(_MOST_QUERIES, max(1, _RANKED // items)))
    reporter.say(f"ranking all {items:,} items for {len(sample):,} queries of the test")
    ranker = replace(model.recipe.ranker, candidates=items)
    of_all = replace(model, recipe=replace(model.recipe, ranker=ranker))
    size = max(1, _TOGETHER // items)

    def scores(profiles: Profiles) -> NDArray[np.floating]:
        starts = range(0, len(profiles), size)
        return np.concatenate([of_all.scores(profiles.at(slice(start, start + size))) for start in starts])

    found = rankings(scores, task.test.at(sample), depth_of([METRIC]), task.known_end)
    return WholeCatalogue(queries=len(sample), items=_figure(found), candidates=_figure(ranked.at(sample)))


def _figure(lists: Rankings) -> float:
    return figures(lists, [METRIC])[METRIC]


def _plain(whole: WholeCatalogue) -> dict[str, Any]:
    return {"queries": whole.queries, "two_stage": whole.items, "of_candidates": whole.candidates, "loss": whole.loss}
