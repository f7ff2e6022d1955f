"""The losses of sequence encoders and their negatives, on planted data."""

from pathlib import Path

import numpy as np
import pytest
import torch

from shortlist.bundle.history import History
from tests.trainer.configs import encoder_config
from trainer.data import Dataset
from trainer.errors import RecipeError
from trainer.models.encoders.encoded import Encoded
from trainer.models.registry import build_encoder
from trainer.progress import Reporter
from trainer.recipe import Recipe
from trainer.training.encoder.batches import EncoderBatch, EncoderBatches, Negatives
from trainer.training.encoder.fit import fit_encoder
from trainer.training.encoder.training import encoder_data_spec

CHAIN = 15


def offered(encoded: Encoded) -> tuple[float, float]:
    """Five of the 56 other items are offered after four places of a chain.

    Returns the share of walks whose next place is offered, by chance a tenth. The second share is that of offers on
    the chain, by chance a fifth.
    """
    starts = [(first, place) for first in range(0, 60, CHAIN) for place in range(CHAIN)]
    walks = np.array([[first + (place + step) % CHAIN for step in range(5)] for first, place in starts])
    histories = [
        History(rows=walk[:4].astype(np.int32), values=np.full(4, 5.0, np.float32), events=np.zeros(4, np.int64))
        for walk in walks
    ]
    scores = encoded.user_vectors(histories, np.zeros((len(walks), 3), np.float32)) @ encoded.vectors.T
    np.put_along_axis(scores, walks[:, :4], -np.inf, axis=1)
    best = np.argsort(-scores, axis=1)[:, :5]
    next_found = (best == walks[:, 4:]).any(axis=1).mean()
    return float(next_found), float((best // CHAIN == walks[:, :1] // CHAIN).mean())


@pytest.mark.parametrize("drawn", ["popularity", "uniform", "batch"])
@pytest.mark.parametrize("loss", ["softmax", "bpr", "ccl", "bce"])
def test_the_planted_chains_are_learnt(
    planted: Dataset, recipe: Recipe, reporter: Reporter, loss: str, drawn: str
) -> None:
    """Proves for each loss, and each way to draw negatives, that the order of the chains is found."""
    chosen = encoder_config(recipe.encoder, loss=loss, negatives_by=drawn, negatives=32, softmax_limit=0)
    trained = fit_encoder(planted, len(planted.times), chosen, 0, reporter, None)
    next_found, of_chain = offered(Encoded.of(trained.encoder, 16))
    assert next_found > 0.3
    # By chance, a quarter.
    assert of_chain > 0.65


def batch_of(planted: Dataset, recipe: Recipe, reporter: Reporter, drawn: str, count: int) -> EncoderBatch:
    """The first of an epoch, with so many negatives."""
    chosen = encoder_config(recipe.encoder, negatives_by=drawn, negatives=count, softmax_limit=0)
    return next(EncoderBatches(planted, 1000, chosen, seed=0).epoch(reporter, ""))


def test_uniform_negatives_are_all_as_likely(planted: Dataset, recipe: Recipe, reporter: Reporter) -> None:
    """Proves the share of each item among the draws, and that log q is of it."""
    against = batch_of(planted, recipe, reporter, "uniform", 100_000).against
    assert isinstance(against, Negatives)
    assert np.abs(np.bincount(against.rows.numpy(), minlength=60) / 100_000 - 1 / 60).max() < 0.002
    np.testing.assert_allclose(against.log_q.numpy(), np.log(100_000 / 60), rtol=1e-5)


@pytest.mark.parametrize("count", [10, 10_000])
def test_negatives_of_the_batch_are_what_is_predicted_in_it(
    planted: Dataset, recipe: Recipe, reporter: Reporter, count: int
) -> None:
    """Proves that they are some of the targets, or all where the batch has fewer than the recipe's number. log q
    follows each item's popularity.
    """
    batch = batch_of(planted, recipe, reporter, "batch", count)
    assert isinstance(batch.against, Negatives)
    rows = batch.against.rows.numpy()
    assert len(rows) == min(count, len(batch.targets))
    left = np.bincount(batch.targets.numpy(), minlength=60) - np.bincount(rows, minlength=60)
    assert left.min() >= 0
    counts = np.bincount(planted.item_rows[:1000], minlength=60) + 1
    expected = np.log(counts[rows] / counts.sum() * len(rows))
    np.testing.assert_allclose(batch.against.log_q.numpy(), expected, rtol=1e-4)


def test_cosines_are_of_vectors_of_length_one(planted: Dataset, recipe: Recipe) -> None:
    """Proves that what ccl has learnt by angle is also found by angle, for the index searches by inner product."""
    encoder = build_encoder(encoder_config(recipe.encoder, loss="ccl"), encoder_data_spec(planted, 1000))
    torch.testing.assert_close(encoder.item_vectors().norm(dim=-1), torch.ones(60))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("loss = 'hinge'", r"\[encoder\] loss: must be one of bce, bpr, ccl, softmax, not 'hinge'"),
        ("negatives_by = 3", r"\[encoder\] negatives_by: must be one of batch, popularity, uniform, not 3"),
    ],
)
def test_a_name_that_is_no_loss_is_refused(tmp_path: Path, line: str, told: str) -> None:
    """Proves that the message has what there is."""
    path = tmp_path / "recipe.toml"
    path.write_text(f"[encoder]\n{line}\n")
    with pytest.raises(RecipeError, match=told):
        Recipe.read(path)
