"""Training stage one."""

import copy
import math
import time

import numpy as np
import torch
from torch import Tensor, nn

from trainer import losses
from trainer.data import Dataset
from trainer.encode import Encoded
from trainer.encoders import Encoder, EncoderSizes, build_encoder
from trainer.evaluation import places_of_targets
from trainer.metrics import report
from trainer.progress import Reporter
from trainer.recipe import Encoder as EncoderRecipe
from trainer.split import Split, targets
from trainer.windows import WindowBatch, batch_by_length, collate, seen_before, windows_of

_WARMUP_STEPS = 20
_MAX_NORM = 1.0
_VALIDATION_EVENTS = 2000
_PATIENCE = 2
_VALUE_BUCKETS = 16


class EncoderTraining:
    """One run over one split. The validation is the ranker's slice, and never the test's."""

    def __init__(self, dataset: Dataset, split: Split, recipe: EncoderRecipe, seed: int) -> None:
        torch.manual_seed(seed)
        self._dataset, self._split, self._recipe = dataset, split, recipe
        self._random = np.random.default_rng(seed)
        self._encoder = build_encoder(recipe, encoder_sizes(dataset, split.encoder_end))
        self._windows = windows_of(dataset, split.encoder_end, recipe.history)
        self._steps = recipe.epochs * math.ceil(len(self._windows) / recipe.batch_size)
        self._optimiser = torch.optim.AdamW(
            self._encoder.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, self._rate)
        counts = np.bincount(dataset.item_rows[: split.encoder_end], minlength=len(dataset.item_ids)) + 1.0
        self._share = torch.from_numpy(counts / counts.sum())

    def run(self, reporter: Reporter) -> Encoder:
        """The encoder of the best epoch by validation nDCG@10; stops when that has not grown for two epochs."""
        best, best_state, stale = -1.0, copy.deepcopy(self._encoder.state_dict()), 0
        for epoch in range(1, self._recipe.epochs + 1):
            started = time.monotonic()
            loss = self._epoch(reporter, f"encoder epoch {epoch}/{self._recipe.epochs}")
            figures = self._validate()
            reporter.say(
                f"encoder epoch {epoch}/{self._recipe.epochs}  loss {loss:.4f}  validation nDCG@10 "
                f"{figures['ndcg@10']:.4f}  recall@200 {figures['recall@200']:.4f}  {time.monotonic() - started:.1f} s"
            )
            if figures["ndcg@10"] > best:
                best, best_state, stale = figures["ndcg@10"], copy.deepcopy(self._encoder.state_dict()), 0
            else:
                stale += 1
            if stale == _PATIENCE:
                break
        self._encoder.load_state_dict(best_state)
        return self._encoder.eval()

    def _epoch(self, reporter: Reporter, name: str) -> float:
        self._encoder.train()
        total, count = 0.0, 0
        for windows in reporter.track(batch_by_length(self._windows, self._recipe.batch_size, self._random), name):
            batch = collate(windows)
            loss = self._loss(batch)
            self._optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self._encoder.parameters(), _MAX_NORM)
            self._optimiser.step()
            self._schedule.step()
            total, count = total + loss.item() * len(batch.targets), count + len(batch.targets)
        return total / max(count, 1)

    def _loss(self, batch: WindowBatch) -> Tensor:
        items_ND = self._encoder.item_vectors()
        queries_PD = self._queries(batch, items_ND)
        targets_P = torch.from_numpy(self._dataset.item_rows[batch.targets])
        if len(items_ND) <= self._recipe.softmax_limit:
            seen_PN = torch.from_numpy(seen_before(self._dataset, batch))
            return losses.full_softmax(queries_PD, items_ND, targets_P, seen_PN).mean()
        negatives_S = torch.multinomial(self._share, self._recipe.negatives, replacement=True)
        log_q_S = torch.log(self._share[negatives_S] * self._recipe.negatives).float()
        return losses.sampled_softmax(queries_PD, items_ND, targets_P, negatives_S, log_q_S).mean()

    def _queries(self, batch: WindowBatch, items_ND: Tensor) -> Tensor:
        data, mask_BL = self._dataset, torch.from_numpy(batch.mask)
        vectors_BLD = items_ND[torch.from_numpy(data.item_rows[batch.inputs])] * mask_BL[..., None]
        values_BL = torch.from_numpy(np.where(batch.mask > 0, data.values[batch.inputs], np.float32("nan")))
        events_BL = torch.from_numpy(np.where(batch.mask > 0, data.events[batch.inputs], 0))
        states_BLD = self._encoder.states(vectors_BLD, values_BL, events_BL, mask_BL)
        liked_P = torch.from_numpy(data.likes[batch.targets])
        return self._encoder.queries(states_BLD[torch.from_numpy(batch.predicted)], liked_P)

    def _validate(self) -> dict[str, float]:
        events = targets(self._dataset, self._split.encoder_end, self._split.ranker_end)
        if len(events) > _VALIDATION_EVENTS:
            events = events[np.linspace(0, len(events) - 1, _VALIDATION_EVENTS).astype(np.int64)]
        encoded = Encoded.of(self._encoder.eval(), self._recipe.history)
        return report(places_of_targets(self._dataset, events, encoded.scores))

    def _rate(self, step: int) -> float:
        warm = min(1.0, (step + 1) / _WARMUP_STEPS)
        return warm * 0.5 * (1.0 + math.cos(math.pi * min(step, self._steps) / self._steps))


def encoder_sizes(dataset: Dataset, end: int) -> EncoderSizes:
    """What an encoder of this data looks like; values are cut at their quantiles before event ``end``."""
    values = dataset.values[:end][np.isfinite(dataset.values[:end])]
    quantiles = np.linspace(0, 1, _VALUE_BUCKETS + 1)[:-1]
    edges = np.unique(np.quantile(values, quantiles)) if len(values) else np.zeros(0)
    features = dataset.item_features.matrix
    return EncoderSizes(
        items=len(dataset.item_ids),
        # Without a column there is nothing to multiply: one of zeros stands in.
        item_features=features if features.shape[1] else np.zeros((len(features), 1), dtype=np.float32),
        value_edges=edges.astype(np.float32),
        events=len(dataset.event_names),
    )
