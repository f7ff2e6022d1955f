"""Served lists equal measured lists."""

from pathlib import Path

import numpy as np
import pytest
import tomlkit

from shortlist import HistoryItem, Recommender
from shortlist.bundle.history import History
from testbed.services import start_both
from tests.support.training import train
from trainer.data import Dataset, load
from trainer.data.history_slices import HistorySlices
from trainer.data.split import evaluation_split, held_out_events
from trainer.export.checkpoint import load_two_stage
from trainer.models.registry import MODELS
from trainer.recipe import Recipe

pytestmark = [pytest.mark.integration, pytest.mark.first]

_RECIPES = Path(__file__).parents[2] / "trainer" / "recipes"
_USERS = 50
# A short training: the models need not be good, only the same offline and served.
_SHORT = (
    ("encoder", "epochs", 1),
    ("encoder", "history", 50),
    ("ranker", "epochs", 1),
    ("ranker", "examples", 2000),
    ("ranker", "candidates", 100),
)


def test_fifty_test_users_are_served_the_ten_items_that_the_evaluation_ranks_first(
    movielens: Path, tmp_path: Path
) -> None:
    """The whole chain (ONNX, FAISS, memory maps, two hops) gives PyTorch's own lists, in the same order."""
    text = (_RECIPES / "movielens.toml").read_text()
    recipe_path = tmp_path / "recipe.toml"
    short = tomlkit.parse(text)
    for section, key, value in _SHORT:
        short.setdefault(section, {})[key] = value
    recipe_path.write_text(tomlkit.dumps(short))
    bundles = tmp_path / "bundles"
    bundle = train(recipe_path, movielens, bundles)

    recipe = Recipe.read(recipe_path, MODELS)
    dataset = load(movielens, recipe)
    split = evaluation_split(dataset, recipe.split)
    events = _one_event_a_user(dataset, held_out_events(dataset, split))[:_USERS]
    histories = HistorySlices.before(dataset, events).listed()
    model = load_two_stage(bundle, dataset, end=split.ranker_end)
    users = dataset.user_rows[events]
    offline = model.recommend(histories, dataset.known_user_features[users], 10)
    assert len(np.unique(offline, axis=0)) == _USERS

    with (
        start_both(bundles, tmp_path) as services,
        Recommender(f"dns:///{services.ranking.address}", timeout=30) as client,
    ):
        for user, history, rows in zip(users, histories, offline, strict=True):
            # A known user's later interactions are in the bundle as seen; kept, so that the history alone decides, as
            # it does offline.
            user_id = dataset.user_ids[user].decode()
            served = client.recommend(
                user_id=user_id,
                history=_messages(dataset, history),
                limit=10,
                exclude=_ids(dataset, history.rows),
                keep_seen=True,
            )
            assert [item.item_id for item in served.items] == _ids(dataset, rows)


def _one_event_a_user(dataset: Dataset, events: np.ndarray) -> np.ndarray:
    return events[np.unique(dataset.user_rows[events], return_index=True)[1]]


def _ids(dataset: Dataset, rows: np.ndarray) -> list[str]:
    return [dataset.item_ids[row].decode() for row in rows]


def _messages(dataset: Dataset, history: History) -> list[HistoryItem]:
    ids = _ids(dataset, history.rows)
    return [HistoryItem(item_id=one, value=float(value)) for one, value in zip(ids, history.values, strict=True)]
