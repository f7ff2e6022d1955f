"""The one place that knows the order of the feature columns."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from shortlist.bundle.ranker_columns import CATEGORICAL, NUMERIC, ContextColumn
from trainer.data import Dataset
from trainer.features.layout import (
    FeatureLayout,
    TableColumns,
    item_columns,
    user_columns,
    width_of,
    with_id_embeddings,
    without_id_embeddings,
)

LAYOUT = FeatureLayout(
    items=TableColumns(
        names=("genre=a", "genre=b", "year"),
        widths={"genre": 2, "year": 1},
        is_category=np.array([True, True, False]),
    ),
    users=TableColumns(names=("country=x",), widths={"country": 1}, is_category=np.array([True])),
    statistics=("count", "likes"),
    click_rates=("impressions", "click"),
    context=(
        ContextColumn(name="device", kind=CATEGORICAL, categories=("phone", "tv")),
        ContextColumn(name="hour", kind=NUMERIC),
    ),
    id_embeddings=2,
)

WIDTHS = {"statistics": 2, "rates": 2, "item table": 3, "users": 2, "embeddings": 2}


def parts(groups: Mapping[str, slice]) -> list[tuple[str, int, int]]:
    """The groups by name, with their first column and their width."""
    return [(name, part.start, part.stop - part.start) for name, part in groups.items()]


def test_the_groups_follow_one_another_and_so_do_the_names() -> None:
    """Proves the order of items, of users and of a request, written out by hand."""
    assert parts(LAYOUT.item_groups) == [("counts", 0, 4), ("genre", 4, 2), ("year", 6, 1), ("id embeddings", 7, 2)]
    assert LAYOUT.item_names == (
        *("count", "likes", "click-through rates~impressions", "click-through rates~click"),
        *("genre=a", "genre=b", "year", "id embeddings~0", "id embeddings~1"),
    )
    assert parts(LAYOUT.user_groups) == [
        ("country", 0, 1),
        ("known", 1, 1),
        ("click-through rates", 2, 2),
        ("id embeddings", 4, 2),
    ]
    assert LAYOUT.user_names == (
        *("country=x", "known", "click-through rates~impressions", "click-through rates~click"),
        *("id embeddings~0", "id embeddings~1"),
    )
    assert parts(LAYOUT.context_groups) == [("device", 0, 2), ("hour", 2, 2)]
    assert parts(LAYOUT.user_context_groups)[-2:] == [("request: device", 6, 2), ("request: hour", 8, 2)]


def test_the_cuts_are_of_the_columns_they_name() -> None:
    """Proves the columns of the item table, the encoder's user columns, and the categories."""
    assert LAYOUT.item_names[LAYOUT.item_table] == LAYOUT.items.names
    assert LAYOUT.user_names[LAYOUT.encoder_users] == ("country=x", "known")
    assert [LAYOUT.item_names[place] for place in np.flatnonzero(LAYOUT.is_category)] == ["genre=a", "genre=b"]
    described = {name: part.stop - part.start for name, part in LAYOUT.described_item_groups.items()}
    assert described == {"genre": 2, "year": 1, "id embeddings": 2}


def test_the_matrices_are_in_the_order_of_the_names() -> None:
    """Proves it of items and users, and that id embeddings can be taken off again."""
    ones = {name: np.full((3, width), place, dtype=np.float32) for place, (name, width) in enumerate(WIDTHS.items())}
    items = item_columns(ones["statistics"], ones["rates"], ones["item table"])
    assert items[0].tolist() == [0, 0, 1, 1, 2, 2, 2]
    whole = with_id_embeddings(items, ones["embeddings"])
    assert whole.shape[1] == len(LAYOUT.item_names) == width_of(LAYOUT.item_groups)
    np.testing.assert_array_equal(without_id_embeddings(whole, 2), items)
    users = with_id_embeddings(user_columns(ones["users"], ones["rates"]), ones["embeddings"])
    assert users[0].tolist() == [3, 3, 1, 1, 4, 4]
    assert users.shape[1] == len(LAYOUT.user_names) == width_of(LAYOUT.user_groups)


@pytest.mark.parametrize("width", [0, 3])
def test_the_layout_of_a_data_set_has_its_columns(planted: Dataset, width: int) -> None:
    """Proves that tables, the known users and id embeddings are there, and no rates where nobody logs impressions."""
    layout = FeatureLayout.of(planted, id_embeddings=width)
    assert layout.items.names == planted.item_features.names
    assert width_of(layout.item_groups) == len(layout.item_names) == 5 + len(layout.items.names) + width
    assert layout.encoder_users.stop == planted.known_user_features.shape[1]
    assert layout.click_rates == ()
    assert layout.with_id_embeddings(0).item_names == replace(layout, id_embeddings=0).item_names
