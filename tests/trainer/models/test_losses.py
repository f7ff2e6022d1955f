"""The losses, against the same sums written out in numpy."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from trainer.models.encoders import losses
from trainer.models.rankers import losses as ranker_losses

QUERIES = torch.tensor([[1.0, 0.0], [0.5, -1.0]])
ITEMS = torch.tensor([[1.0, 2.0], [0.0, 1.0], [-1.0, 0.5], [2.0, 0.0]])
TARGETS = torch.tensor([3, 1])


def cross_entropy(logits: list[float], right: int) -> float:
    """Minus the logarithm of the softmax at one place."""
    return float(np.log(np.exp(logits).sum()) - logits[right])


def test_the_full_softmax_leaves_out_what_the_user_has() -> None:
    """Proves the sum by hand: the first user has item 0 and the second none, so they sum 3 and 4 logits."""
    seen = torch.tensor([[True, False, False, False], [False] * 4])
    found = losses.full_softmax(QUERIES, ITEMS, TARGETS, seen)
    by_hand = [cross_entropy([0.0, -1.0, 2.0], 2), cross_entropy([-1.5, -1.0, -1.0, 1.0], 1)]
    assert found.tolist() == pytest.approx(by_hand, rel=1e-5)


def test_the_target_is_never_left_out_even_if_the_user_has_it() -> None:
    """Proves that an item consumed again is learnt from, not punished with an endless loss."""
    nothing, everything = torch.zeros((2, 4), dtype=torch.bool), torch.ones((2, 4), dtype=torch.bool)
    of_target = torch.nn.functional.one_hot(TARGETS, 4).bool()
    expected = losses.full_softmax(QUERIES, ITEMS, TARGETS, nothing)
    torch.testing.assert_close(losses.full_softmax(QUERIES, ITEMS, TARGETS, of_target), expected)
    torch.testing.assert_close(losses.full_softmax(QUERIES, ITEMS, TARGETS, everything), torch.zeros(2))


def test_a_sample_of_every_item_gives_the_full_softmax() -> None:
    """Proves that the target counts once: in the sample too, it is not summed twice."""
    same = TARGETS[:, None] == torch.arange(4)
    sampled = losses.sampled_softmax(QUERIES, ITEMS[TARGETS], ITEMS, same, torch.zeros(4))
    full = losses.full_softmax(QUERIES, ITEMS, TARGETS, torch.zeros((2, 4), dtype=torch.bool))
    torch.testing.assert_close(sampled, full)


def test_a_negative_counts_by_how_rarely_it_is_drawn() -> None:
    """Proves the correction by hand: one negative expected half a time in the sample stands for two of itself."""
    positive, negative, other = ITEMS[TARGETS[:1]], ITEMS[:1], torch.tensor([[False]])
    found = losses.sampled_softmax(QUERIES[:1], positive, negative, other, torch.tensor([np.log(0.5)]))
    assert found.item() == pytest.approx(np.log(np.exp(2.0) + 2 * np.exp(1.0)) - 2.0, rel=1e-5)


def test_the_multinomial_loss_is_a_cross_entropy_for_each_interaction() -> None:
    """Proves the sum by hand, for a user of two interactions and for one of none."""
    logits = torch.tensor([[1.0, 2.0, 0.0], [3.0, 0.0, 0.0]])
    found = losses.multinomial(torch.tensor([3.0, 0.0]), logits, torch.tensor([2.0, 0.0]))
    by_hand = cross_entropy([1.0, 2.0, 0.0], 0) + cross_entropy([1.0, 2.0, 0.0], 1)
    assert found.tolist() == pytest.approx([by_hand, 0.0], rel=1e-5)


@pytest.mark.parametrize(
    "loss", [losses.bpr, losses.binary_cross_entropy, partial(losses.cosine_contrastive, margin=-1, weight=2)]
)
def test_a_negative_that_is_the_target_moves_nothing(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Proves by the gradients that the target is not pushed away where it was drawn, too, and that others are."""
    negatives = ITEMS.clone().requires_grad_()
    same = TARGETS[:, None] == torch.arange(4)
    positive, scores = losses.inner_products(QUERIES[:1], ITEMS[TARGETS[:1]], negatives, same[:1])
    assert positive.tolist() == [2.0]
    assert scores[0, :3].tolist() == [1.0, 0.0, -1.0]
    (gradient,) = torch.autograd.grad(loss(positive, scores).sum(), negatives)
    assert gradient[0].any()
    assert not gradient[3].any()


def test_bpr_asks_that_the_positive_beats_each_negative() -> None:
    """Proves the mean over the negatives by hand."""
    found = losses.bpr(torch.tensor([1.0]), torch.tensor([[0.0, 2.0]]))
    assert found.item() == pytest.approx((np.log(1 + np.exp(-1.0)) + np.log(1 + np.exp(1.0))) / 2, rel=1e-5)


def test_the_cosine_contrastive_loss_lets_be_what_is_below_the_margin() -> None:
    """Proves the sum by hand, and that a negative below the margin has no gradient."""
    negatives = torch.tensor([[0.9, 0.2]], requires_grad=True)
    found = losses.cosine_contrastive(torch.tensor([0.7]), negatives, margin=0.5, weight=10.0)
    assert found.item() == pytest.approx(0.3 + 10.0 * 0.4 / 2, rel=1e-5)
    (gradient,) = torch.autograd.grad(found.sum(), negatives)
    assert gradient.tolist() == [[5.0, 0.0]]


def test_the_binary_loss_is_that_of_one_choice_and_of_a_refusal() -> None:
    """Proves by hand that the negatives weigh as much as the positive, however many there are."""
    found = losses.binary_cross_entropy(torch.tensor([1.0]), torch.tensor([[0.0, -2.0]]))
    by_hand = np.log(1 + np.exp(-1.0)) + (np.log(2.0) + np.log(1 + np.exp(-2.0))) / 2
    assert found.item() == pytest.approx(by_hand, rel=1e-5)


def test_a_contrast_tells_each_vector_from_the_others_by_its_direction() -> None:
    """Proves it by hand for two pairs of different lengths."""
    found = losses.info_nce(torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.tensor([[5.0, 0.0], [0.0, 1.0]]), 0.5)
    assert found.tolist() == pytest.approx([cross_entropy([2.0, 0.0], 0)] * 2, rel=1e-5)


def test_the_listwise_loss_is_the_cross_entropy_of_the_chosen() -> None:
    """Proves it by hand, with one loss a list."""
    scores = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    found = ranker_losses.listwise_softmax(scores, torch.tensor([0, 2]))
    assert found.tolist() == pytest.approx([cross_entropy([1.0, 2.0, 3.0], 0), np.log(3.0)], rel=1e-5)


def test_an_unknown_value_costs_nothing_and_moves_nothing() -> None:
    """Proves that NaN gives a loss and a gradient of exactly 0, beside one that is squared."""
    predicted = torch.tensor([[1.0, 5.0], [2.0, 7.0]], requires_grad=True)
    found = ranker_losses.squared_error(predicted, torch.tensor([1, 0]), torch.tensor([3.0, float("nan")]))
    assert found.tolist() == [4.0, 0.0]
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert predicted.grad is not None
    assert predicted.grad.tolist() == [[0.0, 4.0], [0.0, 0.0]]


def test_a_weighted_mean_needs_no_weights_that_sum_to_one() -> None:
    """Proves the mean under weights 0 and 2, and that no weight at all gives 0 rather than NaN."""
    of_two = torch.tensor([3.0, 5.0])
    assert ranker_losses.weighted_mean(of_two, torch.tensor([0.0, 2.0])).item() == 5.0
    assert ranker_losses.weighted_mean(of_two, torch.zeros(2)).item() == 0.0
