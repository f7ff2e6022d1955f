"""The batches of a sequence encoder's training: everything gathered and sampled before the model runs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.data import Dataset
from trainer.data.questions import is_unseen
from trainer.progress import Reporter
from trainer.recipe.models import SequenceConfig
from trainer.training.encoder.windows import (
    WindowBatch,
    batch_by_length,
    batch_count,
    collate,
    events_of_a_step,
    seen_before,
    windows_of,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Negatives:
    """Sampled negative items: ``rows`` ``[S]``, and the logarithm of each one's expected count, ``[S]``."""

    rows: Tensor
    log_q: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class EncoderBatch:
    """B windows of L places, with P predictions.

    ``rows``, ``values``, ``events`` and ``mask`` ``[B, L]`` are the inputs. ``lines`` and ``sources`` ``[P]`` are the
    places that predict; ``targets`` ``[P]`` are the item rows, and ``liked`` ``[P]`` whether the event is a like. The
    targets compete ``against`` sampled negatives, or against the catalogue without the user's items, of which it is the
    mask ``[P, items]``. ``user_features`` ``[B, U]`` describe the users.
    """

    rows: Tensor
    values: Tensor
    events: Tensor
    mask: Tensor
    lines: Tensor
    sources: Tensor
    targets: Tensor
    liked: Tensor
    against: Negatives | Tensor
    user_features: Tensor


class EncoderBatches:
    """The batches of one training run, from the events before ``end``."""

    def __init__(self, dataset: Dataset, end: int, config: SequenceConfig, seed: int) -> None:
        self._dataset, self._config = dataset, config
        self._random = np.random.default_rng(seed)
        self._windows = windows_of(dataset, end, config.history)
        self._events = events_of_a_step(self._windows, config.batch_events)
        self._asked = _asked(dataset)
        self.sampled = len(dataset.item_ids) > config.softmax_limit or config.loss != "softmax"
        """Whether targets compete against a sample of the catalogue."""
        self._share = _uniform(dataset) if config.negatives_by == "uniform" else _shares(dataset, end)
        self._cumulative = np.cumsum(self._share)

    def __len__(self) -> int:
        return batch_count(self._windows, self._events)

    def epoch(self, reporter: Reporter, name: str) -> Iterator[EncoderBatch]:
        """Each prediction once, in random order."""
        batches = batch_by_length(self._windows, self._events, self._random)
        for places in reporter.track(batches, name, "events", self._size):
            batch = self._batch(collate(self._dataset, self._windows.at(places)))
            if len(batch.targets):
                yield batch

    def _size(self, places: NDArray[np.int64]) -> int:
        return int(self._windows.lengths[places].sum())

    def _batch(self, batch: WindowBatch) -> EncoderBatch:
        data, real = self._dataset.histories, batch.mask > 0
        asked = slice(None) if self._asked is None else self._asked[batch.targets]
        targets = batch.targets[asked]
        users = np.searchsorted(self._dataset.user_offsets, batch.windows.starts, side="right") - 1
        return EncoderBatch(
            rows=_rows(data.item_rows[batch.inputs]),
            values=torch.from_numpy(np.where(real, data.values[batch.inputs], np.float32("nan"))),
            events=_rows(np.where(real, data.events[batch.inputs], 0)),
            mask=torch.from_numpy(batch.mask),
            lines=torch.from_numpy(batch.lines[asked]),
            sources=torch.from_numpy(batch.sources[asked]),
            targets=_rows(data.item_rows[targets]),
            liked=torch.from_numpy(data.likes[targets]),
            user_features=torch.from_numpy(self._dataset.known_user_features[users]),
            against=self._negatives(data.item_rows[targets])
            if self.sampled
            else torch.from_numpy(seen_before(self._dataset, batch)[asked]),
        )

    def _negatives(self, targets: NDArray[np.integer]) -> Negatives:
        rows = self._of_batch(targets) if self._config.negatives_by == "batch" else self._by_share()
        log_q = np.log(self._share[rows] * len(rows)).astype(np.float32)
        return Negatives(rows=torch.from_numpy(rows), log_q=torch.from_numpy(log_q))

    def _by_share(self) -> NDArray[np.int64]:
        # A binary search in the cumulative sum: torch.multinomial would visit the whole catalogue at each step.
        drawn = self._random.random(self._config.negatives) * self._cumulative[-1]
        rows: NDArray[np.int64] = np.searchsorted(self._cumulative, drawn, side="right")
        return rows

    def _of_batch(self, targets: NDArray[np.integer]) -> NDArray[np.int64]:
        """Targets elsewhere in the batch, which are a sample by popularity (Yi et al., 2019)."""
        return self._random.permutation(targets)[: self._config.negatives].astype(np.int64)


def _asked(dataset: Dataset) -> NDArray[np.bool_] | None:
    """Whether the event at each place of the histories is a target ``[N]``: lists may hold its item.

    None for all. Where every event makes an item seen, repeats stay targets: they tell in which order items follow.
    """
    if dataset.seen_events.counts is None:
        return None
    return is_unseen(dataset)[dataset.user_events]


def _uniform(dataset: Dataset) -> NDArray[np.float64]:
    items = len(dataset.item_ids)
    return np.full(items, 1 / items)


def _shares(dataset: Dataset, end: int) -> NDArray[np.float64]:
    """Each item's share of the events, with one more event for each."""
    counts = np.bincount(dataset.item_rows[:end], minlength=len(dataset.item_ids)).astype(np.float64) + 1.0
    shares: NDArray[np.float64] = counts / counts.sum()
    return shares


def _rows(rows: NDArray[np.integer]) -> Tensor:
    return torch.from_numpy(rows.astype(np.int64))
