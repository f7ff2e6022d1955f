"""Training stage two."""

import copy
import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shortlist.bundle.tables import ItemTables
from trainer.data import Dataset
from trainer.data.split import subsample
from trainer.errors import DataError
from trainer.evaluation.rankings import BATCH, batches
from trainer.features.statistics import STATISTICS
from trainer.models.pipeline import TOGETHER
from trainer.models.rankers import ObjectiveScale, Ranker, RankerDataSpec, build_ranker
from trainer.models.rankers.base import CLICK_RATES, COUNTS, ID_EMBEDDINGS, KNOWN, FeatureGroups, named
from trainer.models.rankers.calibration import Calibration, calibrate, platt
from trainer.models.rankers.id_embeddings import IdEmbeddingLayer, IdEmbeddings
from trainer.models.rankers.objectives import Objectives
from trainer.models.rankers.positions import PositionTerms
from trainer.progress import Reporter
from trainer.recipe import RankerConfig
from trainer.training.ranker.examples import PredictLogits, RankerExamples, RankerInputs

_WARMUP_STEPS = 50
_PATIENCE = 2
_VALIDATION_SHARE = 0.2
_SAMPLE = 500
# What the place explains, nothing else should learn to: its terms are ahead by so much.
_AHEAD = 10
# How many candidates a calibration looks at.
_CALIBRATED_ON = 2_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedRanker:
    """A ranker, and what it has learnt of each item and user by itself."""

    ranker: Ranker
    columns: IdEmbeddingLayer

    @property
    def id_embeddings(self) -> IdEmbeddings:
        """What it has learnt of each item and user."""
        return self.columns.tables()

    @torch.no_grad()
    def predict(
        self, inputs: RankerInputs, places: NDArray[np.int64], items: ItemTables, length: int
    ) -> NDArray[np.float32]:
        """What it says of the candidates of some examples, ``[n, C, G]``; the ``items`` are without its own columns."""
        together = max(BATCH, TOGETHER // inputs.candidates.rows.shape[1])
        parts = []
        for batch in batches(places, together):
            given = inputs.at(batch, items, length, np.ones(len(batch), dtype=np.bool_), self.columns)
            parts.append(self.ranker(**given).numpy())
        return np.concatenate(parts)


class RankerTraining:
    """One run over examples in the order of time.

    The epoch is chosen by the examples at the places ``deciding``, which are then not learnt from, or without them by
    the latest fifth, and then what is learnt is learnt anew from all.

    Raises:
        DataError: there is nothing to learn from, or nothing that decides.
    """

    def __init__(
        self,
        examples: RankerExamples,
        items: ItemTables,
        users: int,
        spec: RankerDataSpec,
        objectives: Objectives,
        recipe: RankerConfig,
        seed: int,
        deciding: NDArray[np.int64] | None = None,
    ) -> None:
        self.examples, self.items, self.users = examples, items, users
        self.spec, self.objectives, self.recipe, self.seed = spec, objectives, recipe, seed
        self._usable = examples.usable
        start = int(len(self._usable) * (1 - _VALIDATION_SHARE))
        self.early, self.late = self._usable[:start], self._usable[start:]
        """Those that are learnt from while the epoch is looked for, and those that decide on it."""
        self.given = deciding is not None
        if deciding is not None:
            self.early, self.late = np.setdiff1d(self._usable, deciding), np.intersect1d(self._usable, deciding)
        self._refuse_too_few()
        self.curve: list[dict[str, float]] = []
        """The loss and the validation's figures of each epoch that was tried."""
        self.calibrations: dict[str, Calibration] = {}
        """How each objective that is an event was calibrated on the latest fifth of the examples."""

    def run(self, reporter: Reporter) -> TrainedRanker:
        """See the class.

        How the objectives are calibrated is found where the epoch is, of the model of the best; the one that is
        calibrated so may have learnt as many epochs, from a quarter more.
        """
        epochs, best = self._best_epoch(reporter)
        self.calibrations = self._calibrations(best)
        for name, found in self.calibrations.items():
            reporter.say(
                f"ranker: objective {name} calibrated, error {found.error_before:.5f} -> {found.error_after:.5f}"
            )
        trained = best if self.given else self._anew(epochs, reporter)
        calibrate(trained.ranker, self.calibrations)
        return trained

    def _refuse_too_few(self) -> None:
        if self.given and not (len(self.early) and len(self.late)):
            part, purpose = ("validation", "choose its epoch by") if len(self.early) else ("train", "learn from")
            raise DataError(
                f"no impression of the {part} part has anything in the column of an objective, and the ranker "
                f"needs some to {purpose}; fill the column, or split otherwise"
            )
        if not len(self.early):
            raise DataError(
                f"of {len(self.examples.targets):,} examples, the ranker can learn from {len(self._usable)}, and needs "
                "two at least: give it more data or a longer slice, [split] ranker; where nobody logged what was shown "
                "also more candidates, [ranker] candidates, and else something in the columns of the objectives"
            )

    def _anew(self, epochs: int, reporter: Reporter) -> TrainedRanker:
        reporter.say(f"ranker: best after {epochs} epochs; training on the whole slice")
        fit = RankerFit(self, self._usable)
        for epoch in range(1, epochs + 1):
            fit.epoch(reporter, f"ranker epoch {epoch}/{epochs}")
        return fit.trained()

    def _calibrations(self, trained: TrainedRanker) -> dict[str, Calibration]:
        if not len(self.late):
            return {}
        # What retrieval missed as well, as it will when it is served.
        late = np.setdiff1d(np.arange(self.late[0], len(self.examples.targets)), self.early)
        places = subsample(late, max(1, _CALIBRATED_ON // self.examples.inputs.candidates.rows.shape[1]))
        found = self.examples.outcomes(self.columns_of(trained), places, self.spec.objectives)
        return {name: platt(outcomes) for name, outcomes in found.items()}

    def columns_of(self, trained: TrainedRanker) -> PredictLogits:
        """What a ranker says of the examples."""
        return lambda places: trained.predict(self.examples.inputs, places, self.items, self.recipe.history)

    def _best_epoch(self, reporter: Reporter) -> tuple[int, TrainedRanker]:
        fit, examples = RankerFit(self, self.early), self.examples
        best, best_epoch, kept = -math.inf, 1, fit.trained()
        for epoch in range(1, self.recipe.epochs + 1):
            started, name = time.monotonic(), f"ranker epoch {epoch}/{self.recipe.epochs}"
            found = {"loss": fit.epoch(reporter, name), **fit.figures(self.late)}
            shown = "  ".join(f"{key} {value:.4f}" for key, value in found.items())
            reporter.say(f"{name}  {shown}  {time.monotonic() - started:.1f} s")
            self.curve.append(found)
            if found[examples.chosen_by] > best:
                best, best_epoch, kept = found[examples.chosen_by], epoch, copy.deepcopy(fit.trained())
            if epoch - best_epoch == _PATIENCE:
                break
        return best_epoch, kept


class RankerFit:
    """One ranker, from its first step on some of the examples."""

    def __init__(self, training: RankerTraining, places: NDArray[np.int64]) -> None:
        self._training, self._places, recipe = training, places, training.recipe
        torch.manual_seed(training.seed)
        self._random = np.random.default_rng(training.seed)
        self._id_embeddings = IdEmbeddingLayer(len(training.items.ids), training.users, recipe.embedding)
        self.ranker = build_ranker(recipe, training.spec)
        if recipe.embedding:
            self._id_embeddings.begin(*training.examples.inputs.met(places))
        self._terms = PositionTerms(training.examples.positions[places], training.spec.objectives)
        self.ranker.scale_by(self._inputs(places[:: max(1, len(places) // _SAMPLE)]))
        groups: list[dict[str, Any]] = [
            {"params": list(self.ranker.parameters())},
            {"params": list(self._id_embeddings.parameters()), "weight_decay": recipe.embedding_decay},
            {"params": list(self._terms.parameters()), "weight_decay": 0.0, "lr": _AHEAD * recipe.learning_rate},
        ]
        self._optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        self._steps = recipe.epochs * math.ceil(len(places) / recipe.batch_size)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, self._rate)

    def epoch(self, reporter: Reporter, name: str) -> float:
        """Each example once, in random order; returns the mean loss."""
        self.ranker.train()
        total = sum(self.step(places) * len(places) for places in reporter.track(self.batches(), name))
        return total / len(self._places)

    def batches(self) -> list[NDArray[np.int64]]:
        """Each example once, in random order."""
        order, size = self._random.permutation(self._places), self._training.recipe.batch_size
        return [order[start : start + size] for start in range(0, len(order), size)]

    def step(self, places: NDArray[np.int64]) -> float:
        """Learns from the examples at the places; returns their mean loss."""
        known = self._random.random(len(places)) >= self._training.recipe.strangers
        training = self._training
        sample = training.examples.sample(places, training.recipe.sampled, self._random)
        columns_BCG = self.ranker(**self._inputs(places, known, sample))
        columns_BCG = columns_BCG + self._terms(training.examples.positions[places])[:, None]
        loss = training.examples.loss(columns_BCG, places, training.objectives, training.spec.objectives)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._schedule.step()
        return loss.item()

    @torch.no_grad()
    def figures(self, places: NDArray[np.int64]) -> dict[str, float]:
        """How good it is on other examples, with what their place added to what came of them."""
        return self._training.examples.figures(self._columns, places, self._training.spec.objectives)

    def trained(self) -> TrainedRanker:
        """What came of it."""
        return TrainedRanker(ranker=self.ranker.eval(), columns=self._id_embeddings)

    def _columns(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        examples, items = self._training.examples, self._training.items
        columns_BCG = self.trained().predict(examples.inputs, places, items, self._training.recipe.history)
        terms_BG: NDArray[np.float32] = self._terms(examples.positions[places]).numpy()
        return columns_BCG + terms_BG[:, None]

    def _inputs(
        self,
        places: NDArray[np.int64],
        known: NDArray[np.bool_] | None = None,
        sample: NDArray[np.int64] | None = None,
    ) -> dict[str, Tensor]:
        training = self._training
        if known is None:
            known = np.ones(len(places), dtype=np.bool_)
        return training.examples.inputs.at(
            places, training.items, training.recipe.history, known, self._id_embeddings, sample
        )

    def _rate(self, step: int) -> float:
        warm = min(1.0, (step + 1) / _WARMUP_STEPS)
        return warm * 0.5 * (1.0 + math.cos(math.pi * min(step, self._steps) / self._steps))


def ranker_data_spec(
    dataset: Dataset,
    items: ItemTables,
    objectives: tuple[ObjectiveScale, ...],
    context: FeatureGroups,
    id_embeddings: int,
    click_rates: int = 0,
) -> RankerDataSpec:
    """What a ranker of this data looks like; ``own`` columns behind the features of items and of users are its own.

    With ``rates`` it learns from impressions, whose rates stand behind the other counts of items, and of users behind
    what is known of them.
    """
    item_features, user_features = dataset.item_features, dataset.user_features
    none = np.zeros(len(STATISTICS) + click_rates, dtype=np.bool_)
    return RankerDataSpec(
        dimension=items.vectors.shape[1],
        user_columns=named(
            {**_widths(user_features.columns), KNOWN: 1, CLICK_RATES: click_rates, ID_EMBEDDINGS: id_embeddings}
        ),
        item_columns=named({COUNTS: len(none), **_widths(item_features.columns), ID_EMBEDDINGS: id_embeddings}),
        context_columns=context,
        content=np.concatenate([none, item_features.is_content, np.zeros(id_embeddings, dtype=np.bool_)]),
        vector_scale=float(np.linalg.norm(items.vectors, axis=1).mean()) or 1.0,
        value_mean=items.value_mean,
        value_std=items.value_std,
        objectives=objectives,
        of_lists=click_rates == 0,
    )


def with_id_embeddings(items: ItemTables, id_embeddings: IdEmbeddings) -> ItemTables:
    """The tables with a ranker's own columns behind the features."""
    return replace(items, features=np.hstack([items.features, id_embeddings.items])) if id_embeddings.width else items


def _widths(columns: FeatureGroups) -> dict[str, int]:
    return {name: part.stop - part.start for name, part in columns.items()}
