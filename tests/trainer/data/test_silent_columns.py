"""Columns that give nothing to tell rows apart by, and texts in scripts without spaces."""

import re
from pathlib import Path

import numpy as np
import pytest

from trainer.data import load
from trainer.recipe import DataRecipe, InteractionsConfig, ItemsConfig, UsersConfig

RECIPE = DataRecipe(interactions=InteractionsConfig(file="events.csv"))
JAPANESE = ["赤い綿の半袖シャツ", "青い綿の半袖シャツ", "赤い防水の登山靴", "青い防水の登山靴"]
THAI = ["เสื้อยืดผ้าฝ้ายสีแดง", "เสื้อยืดผ้าฝ้ายสีฟ้า", "รองเท้าเดินป่าสีแดง", "รองเท้าเดินป่าสีฟ้า"]
ENGLISH = ["red cotton shirt", "blue cotton shirt", "red hiking boots", "blue hiking boots"]


def write(folder: Path, name: str, header: str, rows: list[str]) -> None:
    """A table; the events are of four users and four items."""
    events = [f"u{user},i{item},{user * 4 + item}" for user in range(4) for item in range(4)]
    (folder / "events.csv").write_text("\n".join(["user_id,item_id,timestamp", *events]) + "\n")
    (folder / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


@pytest.mark.parametrize("titles", [JAPANESE, THAI, ENGLISH], ids=["ja", "th", "en"])
def test_titles_of_one_kind_of_thing_are_alike_in_any_script(titles: list[str], tmp_path: Path) -> None:
    """Proves that two shirts are nearer to each other than to shoes of their colour."""
    write(tmp_path, "items.csv", "item_id,title", [f"i{at},{title}" for at, title in enumerate(titles)])
    config = ItemsConfig(file="items.csv", text=("title",))
    data = load(tmp_path, DataRecipe(interactions=RECIPE.interactions, items=config))
    rows = data.item_features.matrix
    alike = rows @ rows.T
    assert alike[0, 1] > alike[0, 2] + 0.1
    assert alike[2, 3] > alike[2, 0] + 0.1
    assert data.warnings == ()


def test_a_column_that_tells_nothing_is_warned_of_by_name(tmp_path: Path) -> None:
    """Proves it of every kind of column, of items and of users: empty ones, and ones with one value."""
    rows = [f"i{at},shop,shop,3.5,red shirt,,{at},unique{at}" for at in range(4)]
    write(tmp_path, "items.csv", "item_id,one,list,price,title,empty,fine,rare", rows)
    (tmp_path / "users.csv").write_text("user_id,land\n" + "".join(f"u{at},\n" for at in range(4)))
    items = ItemsConfig(
        file="items.csv",
        categorical=("one",),
        multi_valued=("list",),
        numeric=("price", "fine", "empty"),
        text=("title", "rare"),
    )
    users = UsersConfig(file="users.csv", categorical=("land",))
    data = load(tmp_path, DataRecipe(interactions=RECIPE.interactions, items=items, users=users))
    named = [
        re.match(r"(\w+)\.csv: the (\w+) column '(\w+)' (gives no feature|has the same)", one) for one in data.warnings
    ]
    assert [found.groups() if found else None for found in named] == [
        ("items", "categorical", "one", "has the same"),
        ("items", "multi_valued", "list", "has the same"),
        ("items", "numeric", "price", "has the same"),
        ("items", "numeric", "empty", "gives no feature"),
        ("items", "text", "title", "has the same"),
        ("items", "text", "rare", "gives no feature"),
        ("users", "categorical", "land", "gives no feature"),
    ]
    assert np.isfinite(data.item_features.matrix).all()


def test_another_separator_than_the_recipes_is_a_warning(tmp_path: Path) -> None:
    """Proves that categories such as "a,b" do not pass for values, and that a comma in a few names is none."""
    write(tmp_path, "items.tsv", "item_id\tgenres\tmakers", [f"i{at}\ta,b{at % 2}\tx|y, z" for at in range(4)])
    columns = ItemsConfig(file="items.tsv", multi_valued=("genres", "makers"))
    data = load(tmp_path, DataRecipe(interactions=RECIPE.interactions, items=columns))
    [told] = [text for text in data.warnings if "separator" in text]
    assert told.startswith("items.tsv: no cell of the multi_valued column 'genres' has the separator '|', and 4 of 4")
