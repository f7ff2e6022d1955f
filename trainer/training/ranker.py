"""Training stage two, on what stage one retrieves."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shortlist.bundle.tables import ItemTables
from shortlist.bundle.transitions import FEATURE_COUNT
from shortlist.inference.history import History
from shortlist.inference.model_inputs import CandidateLists, ranker_inputs
from trainer.data import Dataset
from trainer.encode import Encoded
from trainer.evaluation.metrics import report
from trainer.evaluation.rankings import batches
from trainer.histories import histories_before
from trainer.progress import Reporter
from trainer.rankers import Ranker, RankerSizes, build_ranker
from trainer.recipe import Ranker as RankerRecipe
from trainer.statistics import STATISTICS
from trainer.training import losses
from trainer.two_stage import retrieve, tensors

LIKE, VALUE = "like", "value"
_WARMUP_STEPS = 50
_PATIENCE = 2
_VALIDATION_SHARE = 0.2
_CALIBRATION_EVENTS = 500
# How often a known user is shown to the ranker as a stranger, so that it learns a default for those it never met.
_STRANGERS = 0.2


@dataclass(frozen=True, kw_only=True, eq=False)
class RankingExamples:
    """Events and the candidates that retrieval would have offered just before them.

    ``chosen`` ``[n]`` is the place of the event's item among its candidates, -1 where retrieval missed it; ``likes``
    ``[n]`` and ``values`` ``[n]`` are what came of it.
    """

    histories: list[History]
    user_vectors: NDArray[np.float32]
    user_features: NDArray[np.float32]
    candidates: CandidateLists
    chosen: NDArray[np.int64]
    likes: NDArray[np.bool_]
    values: NDArray[np.float32]

    @classmethod
    def of(cls, dataset: Dataset, encoded: Encoded, items: ItemTables, events: NDArray[np.int64], count: int) -> Self:
        """Examples of the events; ``items`` must not know of anything after the first of them."""
        shape = (len(events), min(count, len(items.ids)))
        rows, scores = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.float32)
        transitions = np.empty((*shape, FEATURE_COUNT), dtype=np.float32)
        vectors = np.empty((len(events), encoded.vectors.shape[1]), dtype=np.float32)
        histories: list[History] = []
        features = dataset.known_user_features
        for batch in batches(events):
            of_batch = histories_before(dataset, batch)
            found = retrieve(encoded, items, of_batch, features[dataset.user_rows[batch]], count)
            part = slice(len(histories), len(histories) + len(batch))
            rows[part], scores[part] = found.candidates.rows, _finite(found.candidates.scores)
            transitions[part], vectors[part] = found.candidates.transitions, found.user_vectors
            histories += of_batch
        hit = rows == dataset.item_rows[events][:, None]
        return cls(
            histories=histories,
            user_vectors=vectors,
            user_features=features[dataset.user_rows[events]],
            candidates=CandidateLists(rows=rows, scores=scores, transitions=transitions),
            chosen=np.where(hit.any(axis=1), hit.argmax(axis=1), -1),
            likes=dataset.likes[events],
            values=dataset.values[events],
        )

    def inputs(
        self, items: ItemTables, length: int, places: NDArray[np.int64], known: NDArray[np.bool_]
    ) -> dict[str, Tensor]:
        """The ranker's inputs of some examples, of which only the ``known`` keep their user's features."""
        part = CandidateLists(
            rows=self.candidates.rows[places],
            scores=self.candidates.scores[places],
            transitions=self.candidates.transitions[places],
        )
        features = self.user_features[places] * known[:, None].astype(np.float32)
        histories = [self.histories[place] for place in places]
        return tensors(ranker_inputs(items, histories, length, self.user_vectors[places], features, part))


class RankerTraining:
    """One run over examples in the order of time."""

    def __init__(
        self, examples: RankingExamples, items: ItemTables, sizes: RankerSizes, recipe: RankerRecipe, seed: int
    ) -> None:
        self._examples, self._items, self._sizes, self._recipe, self._seed = examples, items, sizes, recipe, seed
        usable = np.flatnonzero(examples.chosen >= 0)
        start = int(len(usable) * (1 - _VALIDATION_SHARE))
        self._usable, self._early, late = usable, usable[:start], usable[start:]
        self._late_likes = late[examples.likes[late]]
        # Of the same time, those that retrieval missed too: what is served has no chance with them.
        self._late_wanted = int(examples.likes[late[0] :].sum()) if len(late) else 0
        self.curve: list[dict[str, float]] = []
        """The loss and the validation's figures of each epoch that was tried."""

    def run(self, reporter: Reporter) -> Ranker:
        """Finds the number of epochs on the latest fifth of the examples, then trains anew on all of them."""
        epochs = self._best_epoch(reporter)
        reporter.say(f"ranker: best after {epochs} epochs; training on the whole slice")
        fit = RankerFit(self, self._usable)
        for epoch in range(1, epochs + 1):
            fit.epoch(reporter, f"ranker epoch {epoch}/{epochs}")
        return fit.ranker.eval()

    def _best_epoch(self, reporter: Reporter) -> int:
        fit = RankerFit(self, self._early)
        best, best_epoch = -1.0, 1
        for epoch in range(1, self._recipe.epochs + 1):
            started = time.monotonic()
            loss = fit.epoch(reporter, f"ranker epoch {epoch}/{self._recipe.epochs}")
            figure = self._validate(fit.ranker)
            reporter.say(
                f"ranker epoch {epoch}/{self._recipe.epochs}  loss {loss:.4f}  ndcg@10 {figure:.4f}"
                f"  {time.monotonic() - started:.1f} s"
            )
            self.curve.append({"loss": loss, "ndcg@10": figure})
            if figure > best:
                best, best_epoch = figure, epoch
            if epoch - best_epoch == _PATIENCE:
                break
        return best_epoch

    @torch.no_grad()
    def _validate(self, ranker: Ranker) -> float:
        if not len(self._late_likes):
            return 0.0
        ranker.eval()
        places = []
        for batch in batches(self._late_likes):
            scores = ranker(**self.inputs(batch))[..., 0].numpy()
            chosen = np.take_along_axis(scores, self._examples.chosen[batch][:, None], axis=1)
            places.append((scores > chosen).sum(axis=1))
        return report(np.concatenate(places))["ndcg@10"] * len(self._late_likes) / self._late_wanted

    def inputs(self, places: NDArray[np.int64], known: NDArray[np.bool_] | None = None) -> dict[str, Tensor]:
        """The ranker's inputs of some examples."""
        everybody = np.ones(len(places), dtype=np.bool_)
        return self._examples.inputs(self._items, self._recipe.history, places, everybody if known is None else known)


@dataclass(frozen=True, kw_only=True, eq=False)
class RankerBatch:
    """B examples: the ranker's inputs, and ``chosen``, ``likes`` and ``values`` ``[B]`` as in `RankingExamples`."""

    inputs: dict[str, Tensor]
    chosen: Tensor
    likes: Tensor
    values: Tensor


class RankerFit:
    """One ranker, from its first step on some of the examples."""

    def __init__(self, training: RankerTraining, places: NDArray[np.int64]) -> None:
        self._training, self._places = training, places
        recipe = training._recipe
        torch.manual_seed(training._seed)
        self._random = np.random.default_rng(training._seed)
        self.ranker = build_ranker(recipe, training._sizes)
        self.ranker.calibrate(training.inputs(places[:: max(1, len(places) // _CALIBRATION_EVENTS)]))
        self._optimiser = torch.optim.AdamW(
            self.ranker.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self._steps = recipe.epochs * math.ceil(len(places) / recipe.batch_size)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, self._rate)

    def epoch(self, reporter: Reporter, name: str) -> float:
        """One pass; returns the mean loss."""
        self.ranker.train()
        total = sum(self.step(batch) * len(batch.chosen) for batch in self.batches(reporter, name))
        return total / len(self._places)

    def batches(self, reporter: Reporter, name: str) -> Iterator[RankerBatch]:
        """Each example once, in random order."""
        examples, size = self._training._examples, self._training._recipe.batch_size
        order = self._random.permutation(self._places)
        for start in reporter.track(range(0, len(order), size), name):
            places = order[start : start + size]
            known = self._random.random(len(places)) >= _STRANGERS
            yield RankerBatch(
                inputs=self._training.inputs(places, known),
                chosen=torch.from_numpy(examples.chosen[places]),
                likes=torch.from_numpy(examples.likes[places]).float(),
                values=torch.from_numpy(examples.values[places]),
            )

    def step(self, batch: RankerBatch) -> float:
        """Learns from one batch; returns its mean loss."""
        loss = self._loss(batch)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._schedule.step()
        return loss.item()

    def _loss(self, batch: RankerBatch) -> Tensor:
        sizes, chosen = self._training._sizes, batch.chosen
        scores = self.ranker(**batch.inputs)
        loss = losses.weighted_mean(losses.listwise_softmax(scores[..., 0], chosen), batch.likes)
        if VALUE in sizes.heads:
            predicted = (scores[..., sizes.heads.index(VALUE)] - sizes.value_mean) / sizes.value_std
            wanted = (batch.values - sizes.value_mean) / sizes.value_std
            loss = loss + self._training._recipe.value_weight * losses.squared_error(predicted, chosen, wanted).mean()
        return loss

    def _rate(self, step: int) -> float:
        warm = min(1.0, (step + 1) / _WARMUP_STEPS)
        return warm * 0.5 * (1.0 + math.cos(math.pi * min(step, self._steps) / self._steps))


def ranker_sizes(dataset: Dataset, items: ItemTables) -> RankerSizes:
    """What a ranker of this data looks like."""
    statistics = np.zeros(items.features.shape[1], dtype=np.bool_)
    statistics[: len(STATISTICS)] = True
    content = np.concatenate([np.zeros(len(STATISTICS), dtype=np.bool_), dataset.item_features.is_content])
    return RankerSizes(
        dimension=items.vectors.shape[1],
        user_features=dataset.user_features.matrix.shape[1] + 1,
        statistics=statistics,
        content=content,
        vector_scale=float(np.linalg.norm(items.vectors, axis=1).mean()),
        value_mean=items.value_mean,
        value_std=items.value_std,
        heads=(LIKE, VALUE) if np.isfinite(dataset.values).any() else (LIKE,),
    )


def _finite(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Filler of a short list gets a score far below the others instead of none, so that no gradient is NaN."""
    return np.where(np.isfinite(scores), scores, np.float32(-100.0))
