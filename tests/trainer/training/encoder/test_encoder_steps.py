"""A step of the encoder's training: its batch, and the weights that it moves."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.trainer.configs import encoder_config
from trainer.data import Dataset
from trainer.data.split import Split
from trainer.models.encoders import SequenceEncoder
from trainer.models.registry import ENCODERS, build_encoder
from trainer.progress import Reporter, each_is_one
from trainer.recipe import Recipe
from trainer.recipe.models import SequenceConfig
from trainer.training.encoder.batches import EncoderBatch, EncoderBatches, Negatives
from trainer.training.encoder.next_item import NextItemTraining
from trainer.training.encoder.optimiser import clip
from trainer.training.encoder.training import encoder_data_spec

T = TypeVar("T")


class Watcher(Reporter):
    """Says nothing, and keeps how many batches there were."""

    def __init__(self) -> None:
        super().__init__()
        self.batches = 0

    def track(
        self, items: Sequence[T], name: str, unit: str = "steps", size: Callable[[T], int] = each_is_one
    ) -> Iterator[T]:
        """See Reporter."""
        self.batches += len(items)
        yield from items


@pytest.fixture(params=[name for name, kind in ENCODERS.items() if issubclass(kind, SequenceEncoder)])
def encoder(request: pytest.FixtureRequest, planted: Dataset, recipe: Recipe) -> SequenceEncoder:
    """Each of those that learn step by step, untrained."""
    config = encoder_config(recipe.encoder, request.param, id_dropout=0.0)
    built = build_encoder(config, encoder_data_spec(planted, 1000))
    assert isinstance(built, SequenceEncoder)
    return built


@pytest.fixture
def few(recipe: Recipe) -> SequenceConfig:
    """A recipe whose softmax is sampled, and whose windows are more than a batch."""
    assert isinstance(recipe.encoder, SequenceConfig)
    return replace(recipe.encoder, softmax_limit=0, negatives=8, batch_events=40, dropout=0.0, id_dropout=0.0)


def batches_of(planted: Dataset, recipe: SequenceConfig, reporter: Reporter) -> list[EncoderBatch]:
    """An epoch's."""
    return list(EncoderBatches(planted, 1000, recipe, seed=0).epoch(reporter, ""))


def test_the_vectors_of_some_rows_are_those_of_all(encoder: SequenceEncoder) -> None:
    """Proves that a sampled step learns the vectors that are served, with a row that is asked for twice."""
    rows = torch.tensor([3, 0, 59, 3])
    torch.testing.assert_close(encoder.item_vectors(rows), encoder.item_vectors()[rows])


def test_the_gradient_of_some_rows_is_that_of_all(encoder: SequenceEncoder) -> None:
    """Proves that the tables' gradients are sparse, so that no step's cost follows the catalogue, and are the same."""
    rows, weights = torch.tensor([3, 0, 59, 3]), torch.arange(4.0)[:, None]
    gradients = []
    for vectors in (encoder.item_vectors(rows), encoder.item_vectors()[rows]):
        encoder.zero_grad()
        (vectors * weights).square().sum().backward()  # type: ignore[no-untyped-call]
        gradients.append([_dense(parameter.grad) for parameter in encoder.item_tables()])
    assert gradients[0]
    for some, everything in zip(*gradients, strict=True):
        assert some[1], "the gradient of a table is dense though only some rows were read"
        torch.testing.assert_close(some[0], everything[0])


def _dense(gradient: Tensor | None) -> tuple[Tensor, bool]:
    assert gradient is not None
    return gradient.to_dense(), gradient.is_sparse


def test_the_size_of_the_catalogue_decides_the_softmax(planted: Dataset, few: SequenceConfig) -> None:
    """Proves that the limit is the last size with a full softmax: 60 items at 60, but not at 59."""
    chosen = [replace(few, softmax_limit=limit) for limit in (59, 60)]
    assert [EncoderBatches(planted, 1000, recipe, seed=0).sampled for recipe in chosen] == [True, False]
    sampled, full = (batches_of(planted, recipe, Watcher())[0].against for recipe in chosen)
    assert isinstance(sampled, Negatives)
    assert isinstance(full, Tensor)
    assert full.shape[1] == 60


def test_an_epoch_has_as_many_batches_as_it_says(planted: Dataset, few: SequenceConfig) -> None:
    """Proves that the learning rate, which falls over their number, gets to its end."""
    watcher = Watcher()
    assert len(batches_of(planted, few, watcher)) == watcher.batches
    assert watcher.batches == len(EncoderBatches(planted, 1000, few, seed=0)) > 10


def test_negatives_are_drawn_by_popularity_and_know_how_often(planted: Dataset, few: SequenceConfig) -> None:
    """Proves that an item's share of the draws is its share of the events (each one more), and that log q is of it."""
    batch = batches_of(planted, replace(few, negatives=200_000), Watcher())[0]
    assert isinstance(batch.against, Negatives)
    counts = np.bincount(planted.item_rows[:1000], minlength=60) + 1.0
    share = counts / counts.sum()
    drawn = np.bincount(batch.against.rows.numpy(), minlength=60) / 200_000
    assert np.abs(drawn - share).max() < 0.002
    expected = np.log(share[batch.against.rows.numpy()] * 200_000)
    np.testing.assert_allclose(batch.against.log_q.numpy(), expected, rtol=1e-5)


def test_a_sampled_step_moves_only_the_rows_it_read(planted: Dataset, split: Split, few: SequenceConfig) -> None:
    """Proves it with two negatives: rows neither in the batch nor drawn stay to the bit, and the others move."""
    training = NextItemTraining(planted, split.encoder_end, replace(few, negatives=2, batch_events=1), seed=0)
    batch = next(training.batches.epoch(Watcher(), ""))
    assert isinstance(batch.against, Negatives)
    before = [table.detach().clone() for table in training.encoder.item_tables()]
    training.step(batch)
    read = np.unique(np.concatenate([batch.rows.numpy().ravel(), batch.targets.numpy(), batch.against.rows.numpy()]))
    for table, old in zip(training.encoder.item_tables(), before, strict=True):
        moved = (table.detach() != old).flatten(1).any(dim=1).numpy()
        assert np.flatnonzero(moved).tolist() == read.tolist()


def test_clipping_counts_sparse_gradients_like_dense_ones() -> None:
    """Proves it beside `clip_grad_norm_` on the same gradients, one of them of a row that is read twice."""
    dense, sparse = _Tiny(), _Tiny()
    sparse.load_state_dict(dense.state_dict())
    for model, is_sparse in ((dense, False), (sparse, True)):
        read = nn.functional.embedding(torch.tensor([1, 1, 4]), model.table, sparse=is_sparse)
        (30 * model.layer(read)).square().sum().backward()
    norm = float(nn.utils.clip_grad_norm_(dense.parameters(), 1.0))
    assert norm > 10
    clip(list(sparse.parameters()))
    for one, other in zip(dense.parameters(), sparse.parameters(), strict=True):
        torch.testing.assert_close(_dense(other.grad)[0], _dense(one.grad)[0])


class _Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(5, 3))
        self.layer = nn.Linear(3, 2)
