"""A catalogue whose items live for three days."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from trainer.data import Dataset
from trainer.data.history_slices import HistorySlices
from trainer.data.split import final_split
from trainer.models.encoders.encoded import Encoded
from trainer.models.late_items import with_late_items
from trainer.models.pipeline import TrainedPipeline
from trainer.progress import Reporter
from trainer.recipe import Recipe
from trainer.training.encoder.fit import fit_encoder
from trainer.training.two_stage import fit_two_stage

Row = tuple[str, str, int, float]
DAYS, NEW, USERS, TASTES = 20, 9, 60, 3
RANKER = {"epochs": 1, "candidates": 100, "history": 8, "hidden": 8}


@pytest.fixture
def ads(dataset_of: Callable[[Sequence[Row]], Dataset]) -> Dataset:
    """Nine new ads a day, which live for three days; a user looks at those of one taste, and sees four a day."""
    random, rows = np.random.default_rng(0), list[Row]()
    for day in range(DAYS):
        live = np.arange(max(0, day - 2) * NEW, (day + 1) * NEW)
        for user in range(USERS):
            mine = live[live % TASTES == user % TASTES]
            seconds = 86_400 * day + np.sort(random.choice(80_000, 4, replace=False))
            items = random.choice(mine, min(4, len(mine)), replace=False)
            rows += [(f"u{user:02}", f"ad{item:03}", int(time), 5) for item, time in zip(items, seconds, strict=False)]
    return dataset_of(rows)


@pytest.mark.parametrize("name", ["gfcf", "transformer"])
def test_live_items_are_retrieved(ads: Dataset, name: str) -> None:
    """Proves that ads of the ranker's slice are in the lists of users of their taste, counted and warned of.

    No other vector changes by a bit.
    """
    encoder = {
        "name": name,
        "dimension": 16,
        **({"epochs": 8, "layers": 1, "learning_rate": 0.01, "batch_events": 150} if name == "transformer" else {}),
    }
    raw = {"split": {"ranker": 0.15}, "encoder": encoder, "ranker": RANKER}
    recipe, reporter = Recipe.of(raw), Reporter()
    split = final_split(ads, recipe.split)
    model, _ = fit_two_stage(ads, split, recipe, 0, reporter)
    late = np.setdiff1d(np.arange(len(ads.item_ids)), ads.item_rows[: split.encoder_end])
    assert model.late_items == len(late) > 0.1 * len(ads.item_ids)
    assert [text for text in reporter.warnings if text.startswith(f"{len(late)} of {len(ads.item_ids)} items first")]
    _others_are_unchanged(model, ads, late)
    taste, of_taste = _retrieved(model, ads, late)
    assert taste > 0.4
    assert of_taste > 0.8


def test_items_of_users_without_a_history_stay_without_a_vector(
    dataset_of: Callable[[Sequence[Row]], Dataset],
) -> None:
    """Proves that nothing is made up, and that data without late items keeps its very arrays."""
    rows: list[Row] = [(f"u{user}", f"i{item}", 10 * item + user, 5) for user in range(4) for item in range(4)]
    data = dataset_of([*rows, ("new", "late", 100, 5)])
    trained = fit_encoder(data, 16, Recipe.of({"encoder": {"name": "gfcf"}}).encoder, 0, Reporter(), None)
    encoded = Encoded.of(trained.encoder, 8)
    found, count = with_late_items(encoded, data, 17)
    assert count == 0
    assert found is encoded


def _others_are_unchanged(model: TrainedPipeline, data: Dataset, late: np.ndarray) -> None:
    own = Encoded.of(model.encoded.encoder, model.recipe.encoder.history)
    assert not own.vectors[late].any()
    others = np.setdiff1d(np.arange(len(data.item_ids)), late)
    np.testing.assert_array_equal(model.encoded.vectors[others], own.vectors[others])
    again, _ = with_late_items(own, data, len(data.times))
    np.testing.assert_array_equal(again.vectors, model.encoded.vectors)


def _retrieved(model: TrainedPipeline, data: Dataset, late: np.ndarray) -> tuple[float, float]:
    """The share of late items in the first ten of each user, and of these the share that has the user's taste."""
    ends = data.user_events[data.user_offsets[1:] - 1]
    features = data.known_user_features[data.user_rows[ends]]
    found = model.encoded.user_vectors(HistorySlices.before(data, ends).listed(), features) @ model.encoded.vectors.T
    lists = np.argsort(-found, axis=1)[:, :10]
    is_late = np.isin(lists, late)
    items = np.array([int(one[2:]) for one in data.item_ids.tolist()])
    users = np.array([int(one[1:]) for one in data.user_ids.tolist()])[data.user_rows[ends]]
    same = items[lists] % TASTES == users[:, None] % TASTES
    return float(is_late.mean()), float(same[is_late].mean())
