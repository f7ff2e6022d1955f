"""Examples from impressions, with features as of the time just before each."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shortlist.bundle.item_item import FEATURE_COUNT
from shortlist.bundle.tables import ItemTables
from shortlist.inference.model_inputs import CandidateLists, item_item_features
from trainer.data import Dataset
from trainer.data.history_slices import HistorySlices
from trainer.data.impressions import Impressions
from trainer.evaluation.classification import Outcomes, auc, gauc, log_loss
from trainer.evaluation.rankings import batches
from trainer.evaluation.regression import figures_of_values
from trainer.features.layout import FeatureLayout
from trainer.features.point_in_time import PointInTimeFeatures
from trainer.models.encoders.encoded import Encoded
from trainer.models.rankers import losses
from trainer.models.rankers.objectives import Objectives
from trainer.training.ranker.examples import PredictLogits, RankerExamples, RankerInputs

AUC, RMSE = "auc", "-rmse"
_TOGETHER = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class ImpressionPast:
    """Impressions, with the histories and the point-in-time features just before each."""

    impressions: Impressions
    histories: HistorySlices
    point_in_time: PointInTimeFeatures


@dataclass(frozen=True, kw_only=True, eq=False)
class ImpressionExamples(RankerExamples):
    """Impressions, one candidate each."""

    impressions: Impressions

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        encoded: Encoded,
        items: ItemTables,
        past: ImpressionPast,
        objectives: Objectives,
        layout: FeatureLayout,
        history_length: int,
    ) -> Self:
        """Examples of impressions; ``items`` must hold nothing from the first of them on."""
        impressions, histories = past.impressions, past.histories
        vectors = _user_vectors(dataset, impressions, histories, encoded)
        rows_NC = impressions.item_rows[:, None]
        inputs = RankerInputs(
            layout=layout,
            items=items,
            histories=histories,
            history_length=history_length,
            user_rows=impressions.user_rows,
            user_vectors=vectors,
            user_features=dataset.known_user_features,
            context=impressions.context,
            candidates=CandidateLists(
                rows=rows_NC,
                scores=np.einsum("nd,nd->n", vectors, encoded.vectors[impressions.item_rows])[:, None],
                item_item=_item_item_features(items, histories, rows_NC),
            ),
            point_in_time=past.point_in_time,
        )
        return cls(inputs=inputs, objectives=objectives, targets=impressions.targets, impressions=impressions)

    @property
    def positions(self) -> NDArray[np.int64]:
        """See :class:`RankerExamples`."""
        return self.impressions.positions

    @property
    def chosen_by(self) -> str:
        """See :func:`figures_of_impressions`."""
        return RMSE if self.impressions.is_value.all() else AUC

    @property
    def usable(self) -> NDArray[np.int64]:
        """The impressions with an observed target."""
        return np.flatnonzero(np.isfinite(self.targets).any(axis=1))

    def loss(self, logits_BCG: Tensor, places: NDArray[np.int64]) -> Tensor:
        """Events: the cross-entropy; values: the squared error in standard deviations; both where observed."""
        targets_BG = torch.from_numpy(self.targets[places])
        total = torch.zeros(())
        for place, objective in enumerate(self.objectives):
            logits_B, target_B = logits_BCG[:, 0, place], targets_BG[:, place]
            if objective.is_value:
                loss_B = losses.error_of_values(objective.standardised(logits_B), objective.standardised(target_B))
            else:
                loss_B = losses.log_loss(logits_B, target_B)
            total = total + objective.loss_weight * losses.weighted_mean(loss_B, target_B.isfinite().float())
        return total

    def figures(self, predict: PredictLogits, places: NDArray[np.int64]) -> dict[str, float]:
        """See :func:`figures_of_impressions`."""
        return figures_of_impressions(predict(places)[:, 0], self.impressions.at(places))

    def outcomes(self, predict: PredictLogits, places: NDArray[np.int64]) -> dict[str, Outcomes]:
        """The observed targets of each impression."""
        logits_BG, targets_BG = predict(places)[:, 0], self.targets[places]
        observed_BG, users = np.isfinite(targets_BG), self.impressions.user_rows[places]
        return {
            objective.name: Outcomes(
                logits=logits_BG[observed_BG[:, place], place],
                labels=targets_BG[observed_BG[:, place], place] > 0,
                users=users[observed_BG[:, place]],
            )
            for place, objective in enumerate(self.objectives)
            if not objective.is_value
        }


def figures_of_impressions(logits: NDArray[np.float32], impressions: Impressions) -> dict[str, float]:
    """Figures of the logits ``[n, G]`` of each objective where it was observed, such as ``click/auc``.

    ``auc`` is the mean over the events. Without events there is ``-rmse``, the mean over the values. ``gauc`` is over
    known users; an event that always or never happened has no AUC: NaN.
    """
    events, values = dict[str, dict[str, float]](), dict[str, dict[str, float]]()
    for place, name in enumerate(impressions.objectives):
        observed = np.isfinite(impressions.targets[:, place])
        targets, users = impressions.targets[observed, place], impressions.user_rows[observed]
        if impressions.is_value[place]:
            values[name] = figures_of_values(logits[observed, place], targets)
        else:
            events[name] = _figures_of_event(logits[observed, place], targets, users)
    found = {f"{name}/{metric}": value for name, row in (events | values).items() for metric, value in row.items()}
    if impressions.is_value.all():
        return {RMSE: -_mean([row["rmse"] for row in values.values()]), **found}
    return {AUC: _mean([row["auc"] for row in events.values()]), **found}


def _figures_of_event(
    log_odds: NDArray[np.float32], happened: NDArray[np.float32], users: NDArray[np.int64]
) -> dict[str, float]:
    known = users >= 0
    return {
        "auc": auc(log_odds, happened),
        "gauc": gauc(log_odds[known], happened[known], users[known]),
        "logloss": log_loss(log_odds, happened) if len(happened) else np.nan,
    }


def _mean(figures: list[float]) -> float:
    known = [one for one in figures if math.isfinite(one)]
    return float(np.mean(known)) if known else math.nan


def _user_vectors(
    dataset: Dataset, impressions: Impressions, histories: HistorySlices, encoded: Encoded
) -> NDArray[np.float32]:
    """``[n, D]``; a user's vector only changes with their history, so it is computed once for each history."""
    keys = np.stack([impressions.user_rows, histories.ends, histories.without], axis=1)
    _, first, owner = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    found = np.zeros((len(first), encoded.vectors.shape[1]), dtype=np.float32)
    for batch in batches(np.arange(len(first)), _TOGETHER):
        places = first[batch]
        users = impressions.user_rows[places]
        features = dataset.known_user_features[users] * (users >= 0)[:, None].astype(np.float32)
        found[batch] = encoded.user_vectors(histories.at(places).listed(), features)
    return found[owner.ravel()]


def _item_item_features(items: ItemTables, histories: HistorySlices, rows_NC: NDArray[np.int64]) -> NDArray[np.float32]:
    found = np.zeros((*rows_NC.shape, FEATURE_COUNT), dtype=np.float32)
    if items.item_item.empty:
        return found
    for batch in batches(np.arange(len(rows_NC))):
        found[batch] = item_item_features(items, histories.at(batch).listed(), rows_NC[batch])
    return found
