"""From the catalogue to the candidates to their order: what is lost and what is gained on the way."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.evaluation.metrics import report
from trainer.evaluation.rankings import batches
from trainer.evaluation.split import evenly
from trainer.progress import Reporter
from trainer.two_stage import TwoStage, places_of_both

Places = NDArray[np.int64]
METRIC = "ndcg@10"
CUTS = (50, 100, 200, 500)
LARGEST_CATALOGUE = 100_000
"""In items; of a larger one the ranker is not asked for the whole order, which takes a user as long as it is."""
_MOST_EVENTS = 2000
# How many items are ranked in all, and how many at once.
_RANKED, _TOGETHER = 10_000_000, 100_000


@dataclass(frozen=True, kw_only=True)
class WholeCatalogue:
    """The ranker's nDCG@10 over all ``items`` and over the ``candidates`` alone, on the same ``events`` of the test."""

    events: int
    items: float
    candidates: float

    @property
    def loss(self) -> float | None:
        """The share of the former that the latter lacks; None of nothing."""
        return -change(self.items, self.candidates) if self.items else None


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Of the test: what is among the first k of retrieval, ``recall`` by k, and the nDCG@10 of both stages.

    ``whole`` is None for a catalogue that is too large.
    """

    items: int
    candidates: int
    recall: dict[int, float]
    retrieval: float
    two_stage: float
    whole: WholeCatalogue | None

    @property
    def gain(self) -> float | None:
        """How much more the ranker's order has than retrieval's, relative; None beside nothing."""
        return change(self.retrieval, self.two_stage) if self.retrieval else None

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        whole = self.whole
        return {
            **{f"recall@{k}": value for k, value in self.recall.items()},
            "retrieval": self.retrieval,
            "two_stage": self.two_stage,
            "gain": self.gain,
            "whole_catalogue": f"left out above {LARGEST_CATALOGUE:,} items" if whole is None else _plain(whole),
        }


def chain(
    model: TwoStage, dataset: Dataset, events: NDArray[np.int64], places: tuple[Places, Places], reporter: Reporter
) -> Chain:
    """Of the test's events and the ``places`` of what they wanted after each of the stages, all ``[n]``."""
    items, candidates = len(dataset.item_ids), min(model.recipe.ranker.candidates, len(dataset.item_ids))
    after_retrieval, after_ranking = places
    cuts = sorted({*(k for k in CUTS if k < items), candidates})
    return Chain(
        items=items,
        candidates=candidates,
        recall={k: float((after_retrieval < k).mean()) for k in cuts},
        retrieval=report(after_retrieval)[METRIC],
        two_stage=report(after_ranking)[METRIC],
        whole=_whole_catalogue(model, dataset, events, after_ranking, reporter) if items <= LARGEST_CATALOGUE else None,
    )


def change(before: float, after: float) -> float:
    """Relative."""
    return after / before - 1.0


def _whole_catalogue(
    model: TwoStage, dataset: Dataset, events: NDArray[np.int64], after_ranking: Places, reporter: Reporter
) -> WholeCatalogue:
    """The ranker is given everything as its candidates, in the order of retrieval."""
    items = len(dataset.item_ids)
    sample = evenly(np.arange(len(events)), min(_MOST_EVENTS, max(1, _RANKED // items)))
    ranker = replace(model.recipe.ranker, candidates=items)
    all_of_it = replace(model, recipe=replace(model.recipe, ranker=ranker))
    together = list(batches(events[sample], max(1, _TOGETHER // items)))
    tracked = reporter.track(together, "ranking the whole catalogue")
    places = [places_of_both(all_of_it, dataset, batch)[1] for batch in tracked]
    return WholeCatalogue(
        events=len(sample),
        items=report(np.concatenate(places))[METRIC],
        candidates=report(after_ranking[sample])[METRIC],
    )


def _plain(whole: WholeCatalogue) -> dict[str, Any]:
    return {"events": whole.events, "two_stage": whole.items, "of_candidates": whole.candidates, "loss": whole.loss}
