"""Examples of what was shown: each impression with what was known just before it."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shortlist.bundle.item_item import FEATURE_COUNT
from shortlist.bundle.ranker_columns import ContextColumn
from shortlist.bundle.tables import ItemTables
from shortlist.inference.model_inputs import CandidateLists, item_item_features
from trainer.data import Dataset
from trainer.data.history_slices import HistorySlices
from trainer.data.impressions import Impressions
from trainer.evaluation.classification import Outcomes, auc, gauc, log_loss
from trainer.evaluation.rankings import batches
from trainer.evaluation.regression import figures_of_values
from trainer.features.point_in_time import PointInTimeFeatures
from trainer.models.encoders.encoded import Encoded
from trainer.models.rankers import losses
from trainer.models.rankers.base import ObjectiveScale
from trainer.models.rankers.objectives import Objectives
from trainer.training.ranker.examples import PredictLogits, RankerExamples, RankerInputs

AUC, RMSE = "auc", "-rmse"
_LEAST_RATE, _LEAST_SPREAD = 1e-6, 1e-3
_TOGETHER = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class ImpressionExamples(RankerExamples):
    """Impressions, one candidate each."""

    shown: Impressions

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        shown: Impressions,
        histories: HistorySlices,
        counted: PointInTimeFeatures,
        encoded: Encoded,
        items: ItemTables,
        context_columns: tuple[ContextColumn, ...],
    ) -> Self:
        """Examples of impressions; ``items`` must not know of anything after the first of them."""
        vectors = _user_vectors(dataset, shown, histories, encoded)
        rows_NC = shown.item_rows[:, None]
        inputs = RankerInputs(
            histories=histories,
            user_rows=shown.user_rows,
            user_vectors=vectors,
            user_features=dataset.known_user_features,
            user_click_rates=counted.users,
            context=shown.context,
            context_columns=context_columns,
            candidates=CandidateLists(
                rows=rows_NC,
                scores=np.einsum("nd,nd->n", vectors, encoded.vectors[shown.item_rows])[:, None],
                item_item=_transitions(items, histories, rows_NC),
            ),
            counted=counted.items[:, None],
        )
        return cls(inputs=inputs, targets=shown.targets, shown=shown)

    @property
    def positions(self) -> NDArray[np.int64]:
        """See :class:`RankerExamples`."""
        return self.shown.positions

    @property
    def chosen_by(self) -> str:
        """See :func:`figures_of_impressions`."""
        return RMSE if self.shown.is_value.all() else AUC

    @property
    def usable(self) -> NDArray[np.int64]:
        """Those of which anything was observed."""
        return np.flatnonzero(np.isfinite(self.targets).any(axis=1))

    def loss(
        self, columns_BCG: Tensor, places: NDArray[np.int64], objectives: Objectives, scales: tuple[ObjectiveScale, ...]
    ) -> Tensor:
        """Of events the cross-entropy, of values the squared error in standard deviations, where observed."""
        targets_BG = torch.from_numpy(self.targets[places])
        total = torch.zeros(())
        for place, (objective, scale) in enumerate(zip(objectives.values(), scales, strict=True)):
            column_B, wanted_B = columns_BCG[:, 0, place], targets_BG[:, place]
            if scale.is_value:
                loss_B = losses.error_of_values(
                    (column_B - scale.mean) / scale.std, (wanted_B - scale.mean) / scale.std
                )
            else:
                loss_B = losses.log_loss(column_B, wanted_B)
            total = total + objective.loss_weight * losses.weighted_mean(loss_B, wanted_B.isfinite().float())
        return total

    def figures(
        self, columns: PredictLogits, places: NDArray[np.int64], scales: tuple[ObjectiveScale, ...]
    ) -> dict[str, float]:
        """See :func:`figures_of_impressions`."""
        return figures_of_impressions(columns(places)[:, 0], self.shown.at(places))

    def outcomes(
        self, columns: PredictLogits, places: NDArray[np.int64], scales: tuple[ObjectiveScale, ...]
    ) -> dict[str, Outcomes]:
        """What was observed of each impression."""
        said_BG, targets_BG, users = columns(places)[:, 0], self.targets[places], self.shown.user_rows[places]
        seen_BG = np.isfinite(targets_BG)
        return {
            scale.name: Outcomes(
                logits=said_BG[seen_BG[:, objective], objective],
                labels=targets_BG[seen_BG[:, objective], objective] > 0,
                users=users[seen_BG[:, objective]],
            )
            for objective, scale in enumerate(scales)
            if not scale.is_value
        }


def figures_of_impressions(columns: NDArray[np.float32], shown: Impressions) -> dict[str, float]:
    """The figures of columns ``[n, G]`` of each objective where it was observed, such as ``click/auc``; and ``auc``,
    the mean of the events', or where there are none ``-rmse``, of the values'.

    A user's own AUC is of those who are known, and an event that always happened, or never, has none.
    """
    events, values = dict[str, dict[str, float]](), dict[str, dict[str, float]]()
    for place, name in enumerate(shown.objectives):
        seen = np.isfinite(shown.targets[:, place])
        said, wanted, users = columns[seen, place], shown.targets[seen, place], shown.user_rows[seen]
        if shown.is_value[place]:
            values[name] = figures_of_values(said, wanted)
        else:
            events[name] = _of_event(said, wanted, users)
    found = {f"{name}/{metric}": value for name, row in (events | values).items() for metric, value in row.items()}
    if shown.is_value.all():
        return {RMSE: -_mean([row["rmse"] for row in values.values()]), **found}
    return {AUC: _mean([row["auc"] for row in events.values()]), **found}


def _of_event(
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
    return float(np.mean(known)) if known else 0.0


def scales_of_impressions(shown: Impressions) -> tuple[ObjectiveScale, ...]:
    """The objectives as a ranker predicts them: from the log-odds of the mean rate, or on the scale of the values."""
    return tuple(
        _scale(name, targets[np.isfinite(targets)], is_value=bool(is_value))
        for name, targets, is_value in zip(shown.objectives, shown.targets.T, shown.is_value, strict=True)
    )


def _scale(name: str, known: NDArray[np.float32], *, is_value: bool) -> ObjectiveScale:
    if not len(known):
        return ObjectiveScale(name=name, is_value=is_value)
    mean = float(known.mean(dtype=np.float64))
    if is_value:
        return ObjectiveScale(name=name, is_value=True, mean=mean, std=max(float(known.std()), _LEAST_SPREAD))
    rate = min(max(mean, _LEAST_RATE), 1 - _LEAST_RATE)
    return ObjectiveScale(name=name, mean=math.log(rate / (1 - rate)))


def _user_vectors(
    dataset: Dataset, shown: Impressions, histories: HistorySlices, encoded: Encoded
) -> NDArray[np.float32]:
    """``[n, D]``; between two things that a user does, their vector is the same."""
    keys = np.stack([shown.user_rows, histories.ends, histories.without], axis=1)
    _, first, owner = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    found = np.zeros((len(first), encoded.vectors.shape[1]), dtype=np.float32)
    for batch in batches(np.arange(len(first)), _TOGETHER):
        places = first[batch]
        users = shown.user_rows[places]
        features = dataset.known_user_features[users] * (users >= 0)[:, None].astype(np.float32)
        found[batch] = encoded.user_vectors(histories.listed(places), features)
    return found[owner.ravel()]


def _transitions(items: ItemTables, histories: HistorySlices, rows_NC: NDArray[np.int64]) -> NDArray[np.float32]:
    found = np.zeros((*rows_NC.shape, FEATURE_COUNT), dtype=np.float32)
    if items.item_item.empty:
        return found
    for batch in batches(np.arange(len(rows_NC))):
        found[batch] = item_item_features(items, histories.listed(batch), rows_NC[batch])
    return found
