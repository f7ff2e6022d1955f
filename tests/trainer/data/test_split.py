"""Slices of time: nothing learns from what comes after."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.trainer.configs import encoder_config
from trainer.data import Dataset
from trainer.data.dataset import Histories
from trainer.data.split import Split, evaluation_split, final_split, held_out_events, subsample, targets
from trainer.errors import DataError
from trainer.models.pipeline import TrainedPipeline
from trainer.progress import Reporter
from trainer.recipe import Recipe, SplitConfig
from trainer.training.encoder.fit import fit_encoder
from trainer.training.two_stage import fit_two_stage

Make = Callable[[Sequence[tuple[str, str, int, float]]], Dataset]


def changed_after(data: Dataset, end: int) -> Dataset:
    """The data with what happened at and after an event altered, though not to whom or when."""
    late = np.arange(len(data.times)) >= end
    altered = replace(
        data,
        item_rows=np.where(late, (data.item_rows * 7 + 3) % len(data.item_ids), data.item_rows),
        values=np.where(late, np.float32(1.0), data.values),
        likes=np.where(late, ~data.likes, data.likes),
    )
    return replace(altered, histories=Histories.of(altered, data.user_events))


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    """Equal to the last bit."""
    for key, weights in one.state_dict().items():
        assert torch.equal(weights, other.state_dict()[key]), key


def test_the_slices_follow_each_other_in_time(planted: Dataset, recipe: Recipe) -> None:
    """Proves that they are disjoint, ordered, of the recipe's sizes, and that the last of them ends with the data."""
    split = evaluation_split(planted, recipe.split)
    assert (split.encoder_end, split.ranker_end, split.end) == (1008, 1512, 1680)
    assert (np.diff(planted.times) >= 0).all()
    final = final_split(planted, recipe.split)
    assert (final.encoder_end, final.ranker_end, final.end) == (1176, 1680, 1680)


def test_targets_are_liked_and_new_to_a_user_with_a_history(dataset_of: Make) -> None:
    """Proves it by hand: of seven events three are first, one is a repeat, one disliked, two remain."""
    rows = [("a", "x", 1, 5.0), ("a", "y", 2, 5.0), ("b", "x", 3, 5.0), ("a", "x", 4, 5.0), ("a", "z", 5, 1.0)]
    data = dataset_of([*rows, ("b", "y", 6, 4.0), ("c", "y", 7, 5.0)])
    assert targets(data, 0, 7).tolist() == [1, 5]
    assert targets(data, 2, 7).tolist() == [5]
    assert held_out_events(data, Split(encoder_end=1, ranker_end=6, end=7)).tolist() == []


def test_targets_are_new_to_the_times_before_theirs(dataset_of: Make) -> None:
    """Proves that a like of the first time with an item is a target, that a later one is not, and each item is once."""
    rows = [("a", "x", 1, 1.0), ("a", "y", 2, 1.0), ("a", "z", 2, 5.0), ("a", "x", 2, 5.0), ("a", "z", 3, 5.0)]
    data = dataset_of([*rows, ("b", "x", 1, 5.0)])
    found = targets(data, 0, 6)
    assert [(data.item_ids[data.item_rows[one]], data.times[one]) for one in found] == [(b"z", data.times[2])]


def test_a_basket_is_in_one_slice(dataset_of: Make) -> None:
    """Proves that no border is within the events of one user and one time, also if that empties no slice."""
    rows = [(f"u{user}", f"i{item}", time, 5.0) for time in range(10) for user in range(2) for item in range(8)]
    rows = [(user, f"{item}{time}", time, value) for user, item, time, value in rows]
    data = dataset_of(rows)
    split = evaluation_split(data, SplitConfig(ranker=0.13, test=0.13))
    assert (split.encoder_end % 8, split.ranker_end % 8) == (0, 0)
    assert 0 < split.encoder_end < split.ranker_end < 160


def test_targets_do_not_depend_on_how_many_users_are_looked_at_together(
    planted: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that a repeat is found in groups of few users, as in one group of all."""
    item_rows = planted.item_rows // 6  # so that there are repeats
    repeated = replace(planted, item_rows=item_rows)
    repeated = replace(repeated, histories=Histories.of(repeated, planted.user_events))
    together = targets(repeated, 0, 1680)
    monkeypatch.setattr("trainer.data.questions.CHUNK", 40)
    assert targets(repeated, 0, 1680).tolist() == together.tolist()
    likes = planted.likes & (planted.position >= 1)
    assert 0 < len(together) < likes.sum()


def test_a_cut_of_the_events_is_spread_evenly() -> None:
    """Proves that few events are all kept, and that of many the first, the last and those between are."""
    assert subsample(np.arange(5), 5).tolist() == [0, 1, 2, 3, 4]
    assert subsample(np.arange(9), 5).tolist() == [0, 2, 4, 6, 8]


def test_data_without_anything_to_test_on_is_refused(dataset_of: Make) -> None:
    """Proves that the message says which slice is empty and how much data there is."""
    data = dataset_of([("a", "x", 1, 5.0), ("a", "y", 2, 1.0), ("b", "x", 3, 5.0), ("c", "y", 4, 5.0)])
    with pytest.raises(DataError, match=r"the ranker slice has 0 questions, and at least 20 are needed"):
        evaluation_split(data, SplitConfig(ranker=0.25, test=0.25))


def test_the_encoder_learns_from_nothing_after_its_slice(
    planted: Dataset, split: Split, recipe: Recipe, reporter: Reporter
) -> None:
    """Proves that altered later events change no weight; of one epoch, as the best is chosen by what comes later."""
    one_epoch = encoder_config(recipe.encoder, epochs=1)
    altered = changed_after(planted, split.encoder_end)
    encoders = [
        fit_encoder(data, split.encoder_end, one_epoch, 0, reporter, None).encoder for data in (planted, altered)
    ]
    assert_same_weights(*encoders)


def test_the_test_is_seen_by_nothing(
    planted: Dataset, split: Split, recipe: Recipe, fitted: TrainedPipeline, reporter: Reporter
) -> None:
    """Proves that both stages and all tables are the same to the last bit when the test's events are altered."""
    altered = changed_after(planted, split.ranker_end)
    again, _ = fit_two_stage(altered, split, recipe, seed=0, reporter=reporter)
    assert_same_weights(fitted.encoded.encoder, again.encoded.encoder)
    assert_same_weights(fitted.ranker, again.ranker)
    np.testing.assert_array_equal(fitted.items.features, again.items.features)
    np.testing.assert_array_equal(fitted.items.item_item.slim.weights, again.items.item_item.slim.weights)
    assert (fitted.items.value_mean, fitted.items.value_std) == (again.items.value_mean, again.items.value_std)
