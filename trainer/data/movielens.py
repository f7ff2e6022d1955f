"""MovieLens folders as they are found, under one set of column names.

Interactions: user_id, item_id, rating, timestamp, in the order of the file. Items: item_id, title (without its year),
year, genres separated by `|`. Users: user_id, age, gender, occupation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from trainer.data.table import Table
from trainer.data.tables import contents, delimited, parquet

_RATINGS = ("user_id", "item_id", "rating", "timestamp")
_NAMES = {"movie_id": "item_id", "movie_title": "title", "release_year": "year", "class": "genres", "genre": "genres"}
_GENRES = pl.col("genres")
# The year that a title ends with; MovieLens marks a few releases on video after it.
_TITLE_YEAR = r"\s*\((\d{4})\)(\s*\(V\))?\s*$"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A folder that has the file `marker`, and how each of its tables is read. The readers raise DataError."""

    marker: str
    interactions: Callable[[Path], Table]
    items: Callable[[Path], Table]
    users: Callable[[Path], Table]


def find(folder: Path) -> Layout | None:
    """The layout of a folder, None if it is no MovieLens folder."""
    return next((layout for layout in LAYOUTS if (folder / layout.marker).is_file()), None)


def _grouplens(path: Path, separator: str, columns: tuple[str, ...]) -> Table:
    # The parser takes a separator of one byte; no field holds a tab.
    text = contents(path).decode("latin-1").replace(separator, "\t")
    return delimited(path.name, text.encode(), separator="\t", columns=columns)


def _100k_items(folder: Path) -> Table:
    genres = [line.split("|")[0] for line in contents(folder / "u.genre").decode("latin-1").split("\n") if "|" in line]
    columns = ("item_id", "title", "release_date", "video_release_date", "url", *genres)
    table = _grouplens(folder / "u.item", "|", columns)
    named = [pl.when(pl.col(genre) == "1").then(pl.lit(genre)) for genre in genres]
    return _items(table, pl.concat_str(named, separator="|", ignore_nulls=True).alias("genres"))


def _1m_items(folder: Path) -> Table:
    return _items(_grouplens(folder / "movies.dat", "::", ("item_id", "title", "genres")))


def _atomic(path: Path) -> Table:
    """RecBole's atomic file: separated by tabs, its header `name:type`."""
    table = delimited(path.name, contents(path), separator="\t")
    return _renamed(Table(name=table.name, frame=table.frame.rename(lambda name: name.partition(":")[0])))


def _atomic_layout(name: str) -> Layout:
    return Layout(
        marker=f"{name}.inter",
        interactions=lambda folder: _atomic(folder / f"{name}.inter"),
        items=lambda folder: _items(_atomic(folder / f"{name}.item"), pl.col("genres").str.replace_all(" ", "|")),
        users=lambda folder: _atomic(folder / f"{name}.user"),
    )


def _parquet_ratings(folder: Path) -> Table:
    table = _renamed(parquet(folder / "ratings.parquet"))
    if "order" not in table.frame.columns:
        return table
    return Table(name=table.name, frame=table.frame.with_columns(_between_neighbours()))


def _between_neighbours() -> pl.Expr:
    """Stamps that are not known, from those next to them in the user's history, whose order is known.

    Rows of which not even the order is known (-1) are apart from the rest, and take the user's first stamp at worst.
    """
    stamp = pl.col("timestamp").cast(pl.Float64)
    filled = stamp.interpolate().forward_fill().backward_fill().over("user_id", pl.col("order") >= 0)
    return filled.fill_null(stamp.min().over("user_id")).floor().cast(pl.Int64).alias("timestamp")


def _parquet_items(folder: Path) -> Table:
    name = "items.parquet" if (folder / "items.parquet").is_file() else "movies.parquet"
    return _items(_renamed(parquet(folder / name)))


def _renamed(table: Table) -> Table:
    return Table(name=table.name, frame=table.frame.rename(_NAMES, strict=False))


def _items(table: Table, genres: pl.Expr = _GENRES) -> Table:
    """The canonical columns; the title's year is the one it is known by, so a release date only stands in for it."""
    dated = [name for name in ("year", "release_date") if name in table.frame.columns]
    years = [pl.col(name).cast(pl.String).str.extract(r"(\d{4})$") for name in dated]
    year = pl.coalesce(pl.col("title").str.extract(_TITLE_YEAR), *years).cast(pl.Int32).alias("year")
    title = pl.col("title").str.replace(_TITLE_YEAR, "")
    return Table(name=table.name, frame=table.frame.select("item_id", title, year, genres))


LAYOUTS = (
    Layout(
        marker="u.data",
        interactions=lambda folder: _grouplens(folder / "u.data", "\t", _RATINGS),
        items=_100k_items,
        users=lambda folder: _grouplens(folder / "u.user", "|", ("user_id", "age", "gender", "occupation", "zip_code")),
    ),
    Layout(
        marker="ratings.dat",
        interactions=lambda folder: _grouplens(folder / "ratings.dat", "::", _RATINGS),
        items=_1m_items,
        users=lambda folder: _grouplens(
            folder / "users.dat", "::", ("user_id", "gender", "age", "occupation", "zip_code")
        ),
    ),
    _atomic_layout("ml-100k"),
    _atomic_layout("ml-1m"),
    Layout(
        marker="ratings.parquet",
        interactions=_parquet_ratings,
        items=_parquet_items,
        users=lambda folder: parquet(folder / "users.parquet"),
    ),
)
