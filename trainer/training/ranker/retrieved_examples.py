"""Examples of what retrieval would have offered: where nobody logged what was shown."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shortlist.bundle.item_item import FEATURE_COUNT
from shortlist.bundle.tables import ItemTables
from shortlist.inference.model_inputs import CandidateLists
from shortlist.inference.score_fusion import ScoreFusion
from trainer.data import Dataset
from trainer.data.context import Context
from trainer.data.history_slices import HistorySlices, histories_before
from trainer.evaluation.classification import Outcomes
from trainer.evaluation.metrics import places_of, report
from trainer.evaluation.rankings import batches
from trainer.models.encoders.encoded import Encoded
from trainer.models.pipeline import retrieve
from trainer.models.rankers import losses
from trainer.models.rankers.base import ObjectiveScale
from trainer.models.rankers.objectives import Objectives, served_objectives, targets_of_events
from trainer.training.ranker.examples import PredictLogits, RankerExamples, RankerInputs

_FILLER = np.float32(-100.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class RetrievedExamples(RankerExamples):
    """Events and the candidates that retrieval would have offered just before them.

    ``chosen`` ``[n]`` is the place of the event's item among its candidates, -1 where retrieval missed it; ``likes``
    ``[n]`` says which events a list is judged by, and ``fusion`` is the one that is served.
    """

    chosen: NDArray[np.int64]
    likes: NDArray[np.bool_]
    fusion: ScoreFusion

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        encoded: Encoded,
        items: ItemTables,
        events: NDArray[np.int64],
        count: int,
        objectives: Objectives,
    ) -> Self:
        """Examples of the events; ``items`` must not know of anything after the first of them."""
        shape = (len(events), min(count, len(items.ids)))
        rows, scores = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.float32)
        item_item = np.empty((*shape, FEATURE_COUNT), dtype=np.float32)
        vectors = np.empty((len(events), encoded.vectors.shape[1]), dtype=np.float32)
        users, features = dataset.user_rows[events], dataset.known_user_features
        for batch in batches(np.arange(len(events))):
            histories = histories_before(dataset, events[batch])
            found = retrieve(encoded, items, histories, features[users[batch]], count)
            part = slice(batch[0], batch[-1] + 1)
            rows[part], scores[part] = found.candidates.rows, _finite(found.candidates.scores)
            item_item[part], vectors[part] = found.candidates.item_item, found.user_vectors
        hit = rows == dataset.item_rows[events][:, None]
        inputs = RankerInputs(
            histories=HistorySlices.before(dataset, events),
            user_rows=users,
            user_vectors=vectors,
            user_features=features,
            user_click_rates=np.zeros((len(events), 0), dtype=np.float32),
            context=Context.none(len(events)),
            context_columns=(),
            candidates=CandidateLists(rows=rows, scores=scores, item_item=item_item),
        )
        return cls(
            inputs=inputs,
            targets=targets_of_events(objectives, dataset, events),
            chosen=np.where(hit.any(axis=1), hit.argmax(axis=1), -1),
            likes=dataset.likes[events],
            fusion=ScoreFusion.of(served_objectives(objectives)),
        )

    @property
    def chosen_by(self) -> str:
        """Of the order that is served."""
        return "ndcg@10"

    @property
    def usable(self) -> NDArray[np.int64]:
        """Those that retrieval did not miss."""
        return np.flatnonzero(self.chosen >= 0)

    def sample(self, places: NDArray[np.int64], count: int, random: np.random.Generator) -> NDArray[np.int64]:
        """The chosen one first, then others at random, so that a list teaches other things each time."""
        keys_BC = random.random((len(places), self.inputs.candidates.rows.shape[1]))
        keys_BC[np.arange(len(places)), self.chosen[places]] = -1.0
        return keys_BC.argsort(axis=1)[:, :count]

    def loss(
        self, columns_BCG: Tensor, places: NDArray[np.int64], objectives: Objectives, scales: tuple[ObjectiveScale, ...]
    ) -> Tensor:
        """An event is to be told from the rest of its sample, a value only where it was given."""
        targets = torch.from_numpy(self.targets[places])
        chosen, total = torch.zeros(len(places), dtype=torch.int64), torch.zeros(())
        for place, (objective, scale) in enumerate(zip(objectives.values(), scales, strict=True)):
            column_BC, wanted_B = columns_BCG[..., place], targets[:, place]
            if scale.is_value:
                predicted_BC, wanted_B = (column_BC - scale.mean) / scale.std, (wanted_B - scale.mean) / scale.std
                loss = losses.squared_error(predicted_BC, chosen, wanted_B).mean()
            else:
                loss = losses.weighted_mean(losses.listwise_softmax(column_BC, chosen), wanted_B.nan_to_num())
            total = total + objective.loss_weight * loss
        return total

    def figures(
        self, columns: PredictLogits, places: NDArray[np.int64], scales: tuple[ObjectiveScale, ...]
    ) -> dict[str, float]:
        """Of the likes among the places, nDCG@10 of the order; what retrieval missed counts as a zero.

        As what is served does it, candidates of one score keep the order of retrieval, and those whose score is no
        number are last, as is what fills a list; of these the chosen one is the very last, so that nothing speaks for a
        ranker that is broken.
        """
        liked = places[self.likes[places]]
        if not len(liked):
            return {self.chosen_by: 0.0}
        found = []
        for batch in batches(liked):
            keys = np.where(self._offered(batch), self.fusion.keys(columns(batch)), -np.inf)
            found.append(_places(keys, self.chosen[batch]))
        # Of the same time, those that retrieval missed too: what is served has no chance with them.
        wanted = int(self.likes[places[0] :].sum())
        return {self.chosen_by: report(np.concatenate(found))["ndcg@10"] * len(liked) / wanted}

    def outcomes(
        self, columns: PredictLogits, places: NDArray[np.int64], scales: tuple[ObjectiveScale, ...]
    ) -> dict[str, Outcomes]:
        """An objective that came of an event is a one of the candidate that was chosen, and a zero of all others of the
        list: a list that retrieval missed has zeros alone."""
        said_BCG = columns(places)
        offered_BC = self._offered(places)
        chosen_BC = np.arange(offered_BC.shape[1]) == self.chosen[places][:, None]
        users = np.broadcast_to(self.inputs.user_rows[places][:, None], offered_BC.shape)[offered_BC]
        return {
            scale.name: Outcomes(
                logits=said_BCG[..., objective][offered_BC],
                labels=(chosen_BC & (self.targets[places, objective] > 0)[:, None])[offered_BC],
                users=users,
            )
            for objective, scale in enumerate(scales)
            if not scale.is_value
        }

    def _offered(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which candidates ``[n, C]`` do not only fill their list."""
        return self.inputs.candidates.scores[places] > _FILLER


def _places(keys: NDArray[np.floating], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the ``chosen`` candidates ``[n]`` are when the ``keys`` ``[n, C]`` sort them."""
    known = np.isfinite(keys)
    places = places_of(np.where(known, keys, -np.inf), chosen)
    return np.where(known[np.arange(len(chosen)), chosen], places, keys.shape[1] - 1)


def _finite(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Filler of a short list gets a score far below the others instead of none, so that no gradient is NaN."""
    return np.where(np.isfinite(scores), scores, _FILLER)
