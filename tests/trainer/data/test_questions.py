"""Questions in a shop's log: what was only viewed may still be bought."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from tests.trainer.configs import encoder_config
from trainer.data import Dataset, load
from trainer.data.questions import is_first, is_unseen, refuse_too_few
from trainer.data.split import targets
from trainer.errors import DataError, RecipeError
from trainer.evaluation.queries import Queries
from trainer.progress import Reporter
from trainer.recipe import DataRecipe, InteractionsConfig, Recipe
from trainer.training.encoder.batches import EncoderBatches
from trainer.training.encoder.windows import collate, seen_before, windows_of

ROWS = [
    "a x view",
    "a y view",
    "a x buy",
    "b z view",
    "a x view",
    "a x buy",
    "a y buy",
    "b z buy",
    "a z buy",
    "b x view",
]
Shop = Callable[..., Dataset]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """From keys of [interactions] to the data set of ``ROWS``, one a second, in which a purchase is a like."""

    def make(rows: Sequence[str] = ROWS, **keys: Any) -> Dataset:  # noqa: ANN401 - keys of a section
        lines = [",".join([*row.split(), str(time)]) for time, row in enumerate(rows)]
        (tmp_path / "events.csv").write_text("\n".join(["user_id,item_id,event,timestamp", *lines]) + "\n")
        keys = {"positive_events": ("buy",), **keys}
        columns = InteractionsConfig(file="events.csv", event="event", **keys)
        return load(tmp_path, DataRecipe(interactions=columns))

    return make


def test_a_purchase_of_a_viewed_item_is_a_question_and_a_second_one_is_not(shop: Shop) -> None:
    """Proves the default of a log with several kinds of events, by hand."""
    data = shop()
    assert data.seen_events.names == ("buy",)
    assert targets(data, 0, 10).tolist() == [2, 6, 7, 8]
    assert np.flatnonzero(~is_unseen(data)).tolist() == [4, 5]


def test_every_event_makes_an_item_seen_where_the_recipe_says_so(shop: Shop) -> None:
    """Proves that a purchase after a view is no question then, and the same without positive events or other kinds."""
    data = shop(seen_events=("view", "buy"))
    assert data.seen_events.counts is None
    assert targets(data, 0, 10).tolist() == [8]
    assert shop(positive_events=()).seen_events.counts is None
    assert shop([row.replace("view", "buy") for row in ROWS]).seen_events.counts is None
    assert shop(positive_events=("view",)).seen_events.names == ("view",)


def test_seen_events_are_those_of_a_column(shop: Shop) -> None:
    """Proves that a recipe without the column is refused, and so is an event that the data lacks."""
    with pytest.raises(RecipeError, match="seen_events: needs event"):
        InteractionsConfig(seen_events=("buy",))
    with pytest.raises(RecipeError, match=r"seen_events: events.csv, column 'event', has no 'purchase'"):
        shop(seen_events=("purchase",))


def test_too_few_questions_are_counted_by_event_with_what_to_change(shop: Shop) -> None:
    """Proves the whole sentence, and that enough questions pass."""
    data = shop()
    with pytest.raises(DataError) as refused:
        refuse_too_few(data, "test", 2, 10, is_first(data, data.likes))
    assert str(refused.value) == (
        "the test slice has 4 questions, and at least 20 are needed, before any training. A question is a user's first "
        "positive event with an item not seen before, after another event. Of the slice's 8 events: buy: 5 (4 "
        "questions, 1 of an item seen before); view: 3 (3 not positive). An item is seen after buy: [interactions] "
        "seen_events may name fewer. [interactions] positive_events may name more, or positive_value be lower. Else "
        "give more data, or a larger [split] test."
    )
    enough = shop([f"{user} {item} {event}" for item in range(12) for event in ("view", "buy") for user in "ab"])
    refuse_too_few(enough, "test", 0, 48, is_first(enough, enough.likes))


def test_an_encoder_weighs_a_purchase_against_the_items_that_are_not_bought(shop: Shop, recipe: Recipe) -> None:
    """Proves that a viewed item competes, that a bought one does not, and that no target was bought before."""
    data = shop()
    batch = collate(data, windows_of(data, 10, 10))
    seen = [np.flatnonzero(line).tolist() for line in seen_before(data, batch)]
    # Of a: y, x bought, x, x bought, y bought, z bought. Of b: z bought, x.
    assert seen == [[], [], [0], [0], [0], [0, 1], [], [2]]
    [of_training] = EncoderBatches(data, 10, encoder_config(recipe.encoder), seed=0).epoch(Reporter(), "epoch")
    assert sorted(of_training.targets.tolist()) == [0, 0, 1, 1, 2, 2]
    assert isinstance(of_training.against, Tensor)
    assert of_training.against.sum().item() == 1 + 2 + 1


def test_a_viewed_item_is_relevant_to_a_query_and_a_bought_one_is_not(shop: Shop) -> None:
    """Proves it for queries of any protocol."""
    data = shop()
    queries = Queries.of_events(data, np.array([2, 5, 6, 7]))
    lines, rows = queries.relevant_pairs()
    assert list(zip(lines.tolist(), rows.tolist(), strict=True)) == [(0, 0), (2, 1), (3, 2)]
