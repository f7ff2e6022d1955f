"""``python -m bench.datasets.movielens_1m``: MovieLens 1M as the tables of ``movielens.toml``.

In the earliest four fifths, the times of ratings below four are missing. Their place in the user's order is known, so
that their time is interpolated between the neighbours in that order.
"""

import argparse
from pathlib import Path

import polars as pl

_YEAR = r"\((\d{4})\)\s*$"


def main() -> None:
    """Writes ``interactions.parquet``, ``items.parquet`` and ``users.parquet``."""
    parser = argparse.ArgumentParser(prog="python -m bench.datasets.movielens_1m", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with ratings, movies and users")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    ratings = with_times(pl.read_parquet(options.data / "ratings.parquet"))
    ratings.rename({"movie_id": "item_id"}).write_parquet(options.out / "interactions.parquet")
    movies = pl.read_parquet(options.data / "movies.parquet").rename({"movie_id": "item_id"})
    year = pl.col("title").str.extract(_YEAR).cast(pl.Float64)
    movies.with_columns(year=year).write_parquet(options.out / "items.parquet")
    pl.read_parquet(options.data / "users.parquet").write_parquet(options.out / "users.parquet")


def with_times(ratings: pl.DataFrame) -> pl.DataFrame:
    """``user_id``, ``movie_id``, ``rating`` and ``timestamp`` of all ratings, in the order of time.

    A rating before the user's first known time, or without a place in the user's order, gets that first time.
    """
    ordered = ratings.sort("user_id", "order", maintain_order=True)
    known = pl.when(pl.col("order") >= 0).then(pl.col("timestamp").cast(pl.Float64))
    placed = ordered.with_columns(placed=known.interpolate().over("user_id"))
    filled = pl.coalesce("timestamp", "placed", pl.col("timestamp").min().over("user_id")).round().cast(pl.Int64)
    times = placed.with_columns(timestamp=filled).sort("timestamp", "order", maintain_order=True)
    return times.select("user_id", "movie_id", "rating", "timestamp")


if __name__ == "__main__":
    main()
