"""Served lists equal measured lists."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tomlkit

from shortlist import HistoryItem, Recommender
from shortlist.bundle.history import History
from testbed.services import start_both
from tests.support.training import train
from trainer.data import Dataset, load
from trainer.data.history_slices import HistorySlices
from trainer.data.movielens import find
from trainer.data.split import evaluation_split, held_out_events
from trainer.export.checkpoint import load_two_stage
from trainer.recipe import Recipe

pytestmark = [pytest.mark.integration, pytest.mark.first]

_RECIPES = Path(__file__).parents[2] / "trainer" / "recipes"
_USERS = 50
# A short training: the models need not be good, only the same offline and served.
_SHORT = (
    ("interactions", "event", "event"),
    ("interactions", "seen_events", ["like"]),
    ("encoder", "epochs", 1),
    ("encoder", "history", 50),
    ("ranker", "epochs", 1),
    ("ranker", "examples", 2000),
    ("ranker", "candidates", 100),
)


def test_fifty_test_users_are_served_the_ten_items_that_the_evaluation_ranks_first(
    movielens: Path, tmp_path: Path
) -> None:
    """The whole chain (ONNX, FAISS, memory maps, two hops) gives PyTorch's own lists, in the same order.

    MovieLens as a funnel: a rating of 4 or more is an event of its own, which alone keeps the film from lists. So the
    services have to leave out the same items as the evaluation.
    """
    _write_funnel(movielens, tmp_path)
    short = tomlkit.parse((_RECIPES / "movielens.toml").read_text())
    for section, key, value in _SHORT:
        short.setdefault(section, {})[key] = value
    recipe_path, bundles = tmp_path / "recipe.toml", tmp_path / "bundles"
    recipe_path.write_text(tomlkit.dumps(short))
    bundle = train(recipe_path, tmp_path, bundles)

    recipe = Recipe.read(recipe_path)
    dataset = load(tmp_path, recipe)
    split = evaluation_split(dataset, recipe.split)
    events = _one_event_a_user(dataset, held_out_events(dataset, split))[:_USERS]
    histories = HistorySlices.before(dataset, events).listed()
    model = load_two_stage(bundle, dataset, end=split.ranker_end)
    users = dataset.user_rows[events]
    features, whole = dataset.known_user_features[users], _whole_histories(dataset, users)
    offline = model.recommend(histories, features, 10)
    of_strangers, of_stored = model.recommend(histories, 0 * features, 10), model.recommend(whole, features, 10)
    # The lists are the users' own. Two of a like taste may share one, as rounding differs between processors.
    assert len(np.unique(offline, axis=0)) >= 0.9 * _USERS
    viewed = [np.isin(rows, history.rows).any() for rows, history in zip(of_strangers, histories, strict=True)]
    assert sum(viewed) > _USERS / 2

    with (
        start_both(bundles, tmp_path) as services,
        Recommender(f"dns:///{services.ranking.address}", timeout=30) as client,
    ):
        for place, (user, history) in enumerate(zip(users, histories, strict=True)):
            # A known user's later interactions are in the bundle as seen; kept, so that the history alone decides, as
            # it does offline.
            user_id, sent = dataset.user_ids[user].decode(), _messages(dataset, history)
            exclude = _ids(dataset, dataset.seen_events.rows_of(history))
            served = client.recommend(user_id=user_id, history=sent, limit=10, exclude=exclude, keep_seen=True)
            assert [item.item_id for item in served.items] == _ids(dataset, offline[place])
            served = client.recommend(history=sent, limit=10)
            assert [item.item_id for item in served.items] == _ids(dataset, of_strangers[place])
            served = client.recommend(user_id=user_id, limit=10)
            assert [item.item_id for item in served.items] == _ids(dataset, of_stored[place])


def _write_funnel(movielens: Path, folder: Path) -> None:
    layout = find(movielens)
    assert layout is not None
    event = pl.when(pl.col("rating").cast(pl.Float64) >= 4).then(pl.lit("like")).otherwise(pl.lit("view"))
    layout.interactions(movielens).frame.with_columns(event=event).write_parquet(folder / "interactions.parquet")
    layout.items(movielens).frame.write_parquet(folder / "items.parquet")
    layout.users(movielens).frame.write_parquet(folder / "users.parquet")


def _whole_histories(dataset: Dataset, users: np.ndarray) -> list[History]:
    starts, ends = dataset.user_offsets[users], dataset.user_offsets[users + 1]
    without = np.full(len(users), -1)
    return HistorySlices(data=dataset.histories, starts=starts, ends=ends, without=without).listed()


def _one_event_a_user(dataset: Dataset, events: np.ndarray) -> np.ndarray:
    return events[np.unique(dataset.user_rows[events], return_index=True)[1]]


def _ids(dataset: Dataset, rows: np.ndarray) -> list[str]:
    return [dataset.item_ids[row].decode() for row in rows]


def _messages(dataset: Dataset, history: History) -> list[HistoryItem]:
    ids, names = _ids(dataset, history.rows), ("", *dataset.event_names)
    return [
        HistoryItem(item_id=one, value=float(value), event=names[event])
        for one, value, event in zip(ids, history.values, history.events, strict=True)
    ]
