"""hit@10 of similar items, on logs whose answer is known."""

from pathlib import Path

import numpy as np
import pytest

from bench.quality.similar import hits, pairs
from trainer.data import Dataset, load
from trainer.features.statistics import item_tables
from trainer.recipe import DataRecipe, InteractionsConfig, StatisticsConfig

_USERS, _ITEMS = 100, 40


@pytest.fixture
def log(tmp_path: Path) -> Dataset:
    """Each user views one of 40 items, then the one after it, and buys that one."""
    lines = ["user_id,item_id,timestamp,event"]
    for user in range(_USERS):
        first, then = f"i{user % _ITEMS:02}", f"i{(user + 1) % _ITEMS:02}"
        lines += [f"u{user},{first},{user * 10},view", f"u{user},{then},{user * 10 + 1},view"]
        lines += [f"u{user},{then},{user * 10 + 2},buy"]
    (tmp_path / "events.csv").write_text("\n".join(lines) + "\n")
    interactions = InteractionsConfig(file="events.csv", event="event", positive_events=("buy",))
    return load(tmp_path, DataRecipe(interactions=interactions))


def test_a_query_is_an_event_and_the_item_before_it(log: Dataset) -> None:
    """Proves that the item itself, seen just before it is bought, is not what is given; a first event has no query."""
    given, wanted = pairs(log, 0, len(log.times), liked=True)
    assert (wanted - given).tolist() == [(user + 1) % _ITEMS - user % _ITEMS for user in range(_USERS)]
    assert len(pairs(log, 0, len(log.times), liked=False)[0]) == 2 * _USERS
    assert len(pairs(log, 294, 300, liked=False)[0]) == 4


def test_each_way_finds_its_own(log: Dataset) -> None:
    """Proves that co-occurrence finds each next item, that random vectors hardly do, and that both together do."""
    vectors = np.random.default_rng(0).normal(size=(len(log.item_ids), 4)).astype(np.float32)
    items = item_tables(log, len(log.times), StatisticsConfig(), vectors)
    for liked in (False, True):
        found = hits(items, pairs(log, 0, len(log.times), liked=liked), liked)
        assert found["queries"] == (_USERS if liked else 2 * _USERS)
        assert found["co-occurrence"] == found["similar"] == 1
        assert max(found["popularity"], found["encoder, cosine"], found["encoder, inner product"]) < 0.6
