"""MovieLens folders: one small set of ratings in every layout, and the real ones."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import trainer
from tests.support.events import events_of
from trainer.data import load
from trainer.data.time_texts import SECOND
from trainer.errors import DataError
from trainer.recipe import DataRecipe, Recipe

RECIPE = Recipe.read(Path(trainer.__path__[0]) / "recipes" / "movielens.toml")

RATINGS = [(196, 242, 3, 30), (186, 302, 4, 10), (196, 302, 5, 10), (22, 267, 1, 20)]
MOVIES = [
    (242, "Amélie Café", "1997", ["Children's", "Sci-Fi"]),
    (302, "Café Noir: Part 2", "1995", ["Film-Noir"]),
    (267, "unknown", "", []),
]
USERS = [(196, 49, "M", "writer"), (186, 39, "F", "executive"), (22, 25, "M", "writer")]
GENRES = ["unknown", "Children's", "Film-Noir", "Sci-Fi"]


def lines(rows: list[list[object]], separator: str) -> str:
    """Rows as delimited lines."""
    return "".join(separator.join(str(cell) for cell in row) + "\n" for row in rows)


def titled(title: str, year: str) -> str:
    """A title as GroupLens writes it, with its year."""
    return f"{title} ({year})" if year else title


def write_100k(folder: Path) -> None:
    """GroupLens' ml-100k: Latin-1, a flag for each genre."""
    items: list[list[object]] = [
        [row, titled(title, year), f"01-Jan-{year}" if year else "", "", "", *(int(genre in has) for genre in GENRES)]
        for row, title, year, has in MOVIES
    ]
    (folder / "u.data").write_text(lines([list(row) for row in RATINGS], "\t"))
    (folder / "u.item").write_text(lines(items, "|"), encoding="latin-1")
    (folder / "u.genre").write_text("".join(f"{genre}|{n}\n" for n, genre in enumerate(GENRES)) + "\n")
    (folder / "u.user").write_text(lines([[*row, "00000"] for row in USERS], "|"))


def write_1m(folder: Path) -> None:
    """GroupLens' ml-1m: Latin-1, double colons."""
    items: list[list[object]] = [[row, titled(title, year), "|".join(has)] for row, title, year, has in MOVIES]
    (folder / "ratings.dat").write_text(lines([list(row) for row in RATINGS], "::"))
    (folder / "movies.dat").write_text(lines(items, "::"), encoding="latin-1")
    (folder / "users.dat").write_text(lines([[u, sex, age, job, "0"] for u, age, sex, job in USERS], "::"))


def write_atomic(folder: Path) -> None:
    """RecBole's atomic files: UTF-8, typed headers, genres separated by spaces."""
    ratings = lines([list(row) for row in RATINGS], "\t")
    items = lines([[row, title, year, " ".join(has)] for row, title, year, has in MOVIES], "\t")
    users = lines([[*row, "00000"] for row in USERS], "\t")
    heads = (
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n",
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n",
        "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n",
    )
    (folder / "ml-100k.inter").write_text(heads[0] + ratings)
    (folder / "ml-100k.item").write_text(heads[1] + items, encoding="utf-8")
    (folder / "ml-100k.user").write_text(heads[2] + users)


def write_parquet(folder: Path) -> None:
    """Parquet tables with ml-1m's column names."""
    items = [(row, titled(title, year), "|".join(has)) for row, title, year, has in MOVIES]
    rating_names = ["user_id", "movie_id", "rating", "timestamp"]
    pl.DataFrame(RATINGS, schema=rating_names, orient="row").write_parquet(folder / "ratings.parquet")
    movies = pl.DataFrame(items, schema=["movie_id", "title", "genres"], orient="row")
    movies.write_parquet(folder / "movies.parquet")
    users = pl.DataFrame(USERS, schema=["user_id", "age", "gender", "occupation"], orient="row")
    users.write_parquet(folder / "users.parquet")


WRITERS = [write_100k, write_1m, write_atomic, write_parquet]


@pytest.mark.parametrize("write", WRITERS)
def test_every_layout_gives_the_same_dataset(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """Proves order, ids, likes, accents, years, genres with apostrophes and a film of which nothing is known."""
    write(tmp_path)
    data = load(tmp_path, RECIPE)
    assert data.user_ids[data.user_rows].tolist() == [b"186", b"196", b"22", b"196"]
    assert data.item_ids[data.item_rows].tolist() == [b"302", b"302", b"267", b"242"]
    assert data.values.tolist() == [4, 5, 1, 3]
    assert data.likes.tolist() == [True, True, False, False]
    assert data.item_table["title"].to_list() == ["Amélie Café", "unknown", "Café Noir: Part 2"]
    assert data.item_table["year"].to_list() == [1997, None, 1995]
    assert data.item_features.names[:3] == ("genres=Children's", "genres=Film-Noir", "genres=Sci-Fi")
    assert data.item_features.matrix[:, :4].tolist() == [[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, -1]]
    assert data.user_features.names[:4] == ("gender=F", "gender=M", "occupation=executive", "occupation=writer")


def test_a_release_date_stands_in_for_a_title_without_a_year(tmp_path: Path) -> None:
    """Proves where a year comes from: the title first, past its mark for video, then the release date."""
    write_parquet(tmp_path)
    titles = ["Seen on Video (1995) (V)", "No Year", "Neither"]
    dates = ["09-Feb-1996", "9-Feb-1996", ""]
    items = pl.DataFrame({"item_id": [242, 302, 267], "title": titles, "release_date": dates, "genres": ["War"] * 3})
    items.write_parquet(tmp_path / "items.parquet")
    table = load(tmp_path, RECIPE).item_table
    assert table["title"].to_list() == ["Seen on Video", "Neither", "No Year"]
    assert table["year"].to_list() == [1995, None, 1996]


def test_unknown_stamps_keep_their_place_in_the_users_history(tmp_path: Path) -> None:
    """Proves that a stamp that is not known is put between its neighbours; before the first it is that of the first."""
    write_parquet(tmp_path)
    ratings = pl.DataFrame(
        {
            "user_id": [1, 1, 1, 1, 1, 2, 2],
            "movie_id": [9, 5, 6, 7, 8, 6, 5],
            "rating": [4] * 7,
            "order": [-1, 0, 1, 2, 3, -1, 0],
            "timestamp": [900, None, 100, None, 200, None, 50],
        }
    )
    ratings.write_parquet(tmp_path / "ratings.parquet")
    data = load(tmp_path, DataRecipe(interactions=RECIPE.interactions))
    own = events_of(data, 0)
    items = data.item_ids[data.item_rows[own]].tolist()
    assert (sorted(items[:2]), items[2:]) == ([b"5", b"6"], [b"7", b"8", b"9"])
    assert (data.times[own] // SECOND).tolist() == [100, 100, 150, 200, 900]
    assert (data.times[events_of(data, data.user_ids.tolist().index(b"2"))] // SECOND).tolist() == [50, 50]


def test_a_recipe_without_tables_reads_the_ratings_alone(tmp_path: Path) -> None:
    """Proves that a folder of ratings alone can be trained on."""
    write_100k(tmp_path)
    (tmp_path / "u.item").unlink()
    data = load(tmp_path, DataRecipe(interactions=RECIPE.interactions))
    assert data.item_table.columns == ["item_id"]
    with pytest.raises(DataError, match=r"u.item: cannot be read"):
        load(tmp_path, RECIPE)


def test_a_bad_rating_is_refused_by_file_and_line(tmp_path: Path) -> None:
    """Proves that MovieLens files are checked as all others are."""
    write_100k(tmp_path)
    (tmp_path / "u.data").write_text("1\t1\t5\t10\n2\t1\tfive\t10\n")
    with pytest.raises(
        DataError, match=r"u.data, column 'rating': no finite number in 1 of 2 rows; first row 2: 'five'"
    ):
        load(tmp_path, RECIPE)


def test_a_folder_with_other_columns_is_refused(tmp_path: Path) -> None:
    """Proves that a file of MovieLens' name and other columns is reported, not handed on."""
    write_parquet(tmp_path)
    pl.DataFrame({"movie_id": [1], "name": ["x"]}).write_parquet(tmp_path / "movies.parquet")
    with pytest.raises(DataError, match=r"has ratings.parquet but not MovieLens' columns"):
        load(tmp_path, RECIPE)


@pytest.mark.alone
def test_the_real_ratings_are_all_there_in_under_a_second(movielens: Path) -> None:
    """Proves the counts that GroupLens publishes, and the time."""
    start = time.perf_counter()
    data = load(movielens, RECIPE)
    seconds = time.perf_counter() - start
    assert (data.counts.interactions, data.counts.users, data.counts.items) == (100_000, 943, 1682)
    assert (np.diff(data.times) >= 0).all()
    assert data.likes.sum() == 55_375
    assert data.item_table["year"].null_count() == 1
    assert seconds < 1


def test_the_real_ratings_are_the_same_in_grouplens_layout(movielens: Path, tmp_path: Path) -> None:
    """Proves on all 100,000 rows that the layout does not change an event or its place."""
    recipe = DataRecipe(interactions=RECIPE.interactions)
    data = load(movielens, recipe)
    text = (movielens / "ml-100k.inter").read_text()
    (tmp_path / "u.data").write_text(text.partition("\n")[2])
    again = load(tmp_path, recipe)
    assert data.counts.interactions == 100_000
    for name in ("user_rows", "item_rows", "times", "values", "likes", "user_events", "position"):
        assert np.array_equal(getattr(data, name), getattr(again, name)), name
