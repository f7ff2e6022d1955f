"""Examples from retrieved candidates, for data without impressions."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shortlist.bundle.item_item import FEATURE_COUNT
from shortlist.bundle.tables import ItemTables
from shortlist.inference.model_inputs import CandidateLists
from trainer.data import Dataset
from trainer.data.context import Context
from trainer.data.history_slices import HistorySlices
from trainer.data.split import subsample
from trainer.evaluation.classification import Outcomes
from trainer.evaluation.metrics import places_of, report
from trainer.evaluation.rankings import batches
from trainer.features.layout import FeatureLayout
from trainer.models.encoders.encoded import Encoded
from trainer.models.pipeline import retrieve
from trainer.models.rankers import losses
from trainer.models.rankers.objectives import Objectives
from trainer.progress import Reporter
from trainer.recipe import RankerConfig
from trainer.training.ranker.examples import PredictLogits, RankerExamples, RankerInputs

_FILLER = np.float32(-100.0)
# Six epochs of a hundred thousand lists would take longer than the encoder.
_LISTS_AN_EPOCH = 20_000
# To rank a list of 200 costs about as much as to learn from a sample of 32: an eighth of such an epoch.
_MOST_JUDGED = 2000


@dataclass(frozen=True, kw_only=True, eq=False)
class RetrievedExamples(RankerExamples):
    """Events and the candidates that retrieval would have returned just before them.

    ``chosen`` ``[n]`` is the place of the event's item among its candidates, -1 where retrieval missed it. The figures
    judge the lists of the ``likes`` ``[n]``, by the order of the score fusion that is served.
    """

    chosen: NDArray[np.int64]
    likes: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        encoded: Encoded,
        items: ItemTables,
        events: NDArray[np.int64],
        objectives: Objectives,
        recipe: RankerConfig,
        reporter: Reporter | None = None,
    ) -> Self:
        """Examples of the events; ``items`` must hold nothing from the first of them on."""
        histories, users = HistorySlices.before(dataset, events), dataset.user_rows[events]
        candidates, vectors = _retrieved(
            dataset, encoded, items, histories, users, recipe.candidates, reporter or Reporter()
        )
        hit = candidates.rows == dataset.item_rows[events][:, None]
        inputs = RankerInputs(
            layout=FeatureLayout.of(dataset, id_embeddings=recipe.embedding),
            items=items,
            histories=histories,
            history_length=recipe.history,
            user_rows=users,
            user_vectors=vectors,
            user_features=dataset.known_user_features,
            context=Context.none(len(events)),
            candidates=candidates,
        )
        return cls(
            inputs=inputs,
            objectives=objectives,
            targets=objectives.targets(dataset, events),
            chosen=np.where(hit.any(axis=1), hit.argmax(axis=1), -1),
            likes=dataset.likes[events],
        )

    @property
    def chosen_by(self) -> str:
        """See :class:`RankerExamples`."""
        return "ndcg@10"

    @property
    def contrasted(self) -> bool:
        """See :class:`RankerExamples`."""
        return True

    @property
    def usable(self) -> NDArray[np.int64]:
        """The examples whose item retrieval did not miss."""
        return np.flatnonzero(self.chosen >= 0)

    @property
    def most_an_epoch(self) -> int:
        """See :class:`RankerExamples`."""
        return _LISTS_AN_EPOCH

    def preferred(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """The likes, so that rare ones have a part in more of the steps.

        An event's loss is a mean over its own events, and a value's is one over all lists. So no likes are preferred
        where an objective learns a value, or where only some of its events are likes: that would shift its mean.
        """
        shifts = any(one.is_value or self._liked_in_part(place) for place, one in enumerate(self.objectives))
        return np.zeros(len(places), dtype=np.bool_) if shifts else self.likes[places]

    def sample(self, places: NDArray[np.int64], count: int, random: np.random.Generator) -> NDArray[np.int64]:
        """The chosen candidate first, then others at random, which differ from step to step."""
        keys_BC = random.random((len(places), self.inputs.candidates.rows.shape[1]))
        keys_BC[np.arange(len(places)), self.chosen[places]] = -1.0
        return keys_BC.argsort(axis=1)[:, :count]

    def loss(self, logits_BCG: Tensor, places: NDArray[np.int64]) -> Tensor:
        """Events: a softmax over the sample; values: the squared error, where there is a value."""
        targets = torch.from_numpy(self.targets[places])
        chosen, total = torch.zeros(len(places), dtype=torch.int64), torch.zeros(())
        for place, objective in enumerate(self.objectives):
            logits_BC, target_B = logits_BCG[..., place], targets[:, place]
            if objective.is_value:
                predicted_BC, value_B = objective.standardised(logits_BC), objective.standardised(target_B)
                loss = losses.squared_error(predicted_BC, chosen, value_B).mean()
            else:
                loss = losses.weighted_mean(losses.listwise_softmax(logits_BC, chosen), target_B.nan_to_num())
            total = total + objective.loss_weight * loss
        return total

    def judged(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The likes; see :class:`RankerExamples`."""
        return subsample(places[self.likes[places]], _MOST_JUDGED)

    def figures(self, predict: PredictLogits, places: NDArray[np.int64]) -> dict[str, float]:
        """The nDCG@10 of the likes among the places; a like that retrieval missed counts as 0.

        Ties keep the order of retrieval, and fillers and scores that are not finite come last, as in serving. A chosen
        candidate among these is the very last, so that a broken ranker has the lowest figure.
        """
        liked, judged = places[self.likes[places]], self.judged(places)
        if not len(liked):
            return {self.chosen_by: 0.0}
        found, fusion = [], self.objectives.fusion
        for batch in batches(judged):
            keys = np.where(self._is_candidate(batch), fusion.keys(predict(batch)), -np.inf)
            found.append(_places(keys, self.chosen[batch]))
        # Likes of the same time that retrieval missed count too: no order of the ranker reaches them.
        relevant = int(self.likes[places[0] :].sum())
        return {self.chosen_by: report(np.concatenate(found))["ndcg@10"] * len(liked) / relevant}

    def outcomes(self, predict: PredictLogits, places: NDArray[np.int64]) -> dict[str, Outcomes]:
        """The chosen candidate is a 1 of each objective that the event reached; all other candidates are 0.

        A list that retrieval missed has zeros alone.
        """
        logits_BCG = predict(places)
        kept_BC = self._is_candidate(places)
        chosen_BC = np.arange(kept_BC.shape[1]) == self.chosen[places][:, None]
        users = np.broadcast_to(self.inputs.user_rows[places][:, None], kept_BC.shape)[kept_BC]
        return {
            objective.name: Outcomes(
                logits=logits_BCG[..., place][kept_BC],
                labels=(chosen_BC & (self.targets[places, place] > 0)[:, None])[kept_BC],
                users=users,
            )
            for place, objective in enumerate(self.objectives)
            if not objective.is_value
        }

    def _liked_in_part(self, objective: int) -> bool:
        """Whether some of the objective's events are likes, and others are not."""
        of_objective = self.likes[self.targets[:, objective] > 0]
        return bool(of_objective.any() and not of_objective.all())

    def _is_candidate(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which entries of the lists ``[n, C]`` are candidates and not fillers."""
        return self.inputs.candidates.scores[places] > _FILLER


def _retrieved(
    dataset: Dataset,
    encoded: Encoded,
    items: ItemTables,
    histories: HistorySlices,
    users: NDArray[np.int64],
    count: int,
    reporter: Reporter,
) -> tuple[CandidateLists, NDArray[np.float32]]:
    """The candidates of the histories, and the user vectors ``[n, D]`` that retrieved them."""
    shape = (len(histories), min(count, items.listed_count))
    rows, scores = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.float32)
    item_item = np.empty((*shape, FEATURE_COUNT), dtype=np.float32)
    vectors = np.empty((len(histories), encoded.vectors.shape[1]), dtype=np.float32)
    features = dataset.known_user_features
    every = list(batches(np.arange(len(histories))))
    for batch in reporter.track(every, "retrieving candidates", "lists", len):
        before = histories.at(batch).listed()
        found = retrieve(encoded, items, before, features[users[batch]], count, dataset.seen_events)
        part = slice(batch[0], batch[-1] + 1)
        rows[part], scores[part] = found.candidates.rows, _finite(found.candidates.scores)
        item_item[part], vectors[part] = found.candidates.item_item, found.user_vectors
    return CandidateLists(rows=rows, scores=scores, item_item=item_item), vectors


def _places(keys: NDArray[np.floating], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ranks of the ``chosen`` candidates ``[n]`` in the order of the ``keys`` ``[n, C]``."""
    known = np.isfinite(keys)
    places = places_of(np.where(known, keys, -np.inf), chosen)
    return np.where(known[np.arange(len(chosen)), chosen], places, keys.shape[1] - 1)


def _finite(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The scores with a low finite one for the fillers of a short list, so that no gradient is NaN."""
    return np.where(np.isfinite(scores), scores, _FILLER)
