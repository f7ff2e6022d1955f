"""``python -m bench.datasets.cold_items``: CiteULike-a as tables that describe articles by tags and citations.

A citation links both articles, in either direction.
"""

import argparse
from pathlib import Path

import polars as pl


def main() -> None:
    """Writes ``interactions.parquet`` unchanged, and ``items.parquet``."""
    parser = argparse.ArgumentParser(prog="python -m bench.datasets.cold_items", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the three published tables")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    pl.read_parquet(options.data / "interactions.parquet").write_parquet(options.out / "interactions.parquet")
    tags = pl.read_parquet(options.data / "item_tags.parquet")
    described(tags, pl.read_parquet(options.data / "citations.parquet")).write_parquet(options.out / "items.parquet")


def described(tags: pl.DataFrame, citations: pl.DataFrame) -> pl.DataFrame:
    """``item_id`` and ``tags`` as given; ``linked``, lists of the item and its citations in both directions; and
    ``linked_tags``, their tags.
    """
    forth = citations.select("item_id", linked="cites")
    back = citations.select(item_id="cites", linked="item_id")
    itself = tags.select("item_id", linked="item_id")
    links = pl.concat([forth, back, itself]).unique().sort("item_id", "linked")
    around = links.join(tags.select(linked="item_id", linked_tags="tags"), on="linked", how="left")
    lists = around.group_by("item_id").agg(
        pl.col("linked").sort().cast(pl.String), pl.col("linked_tags").drop_nulls().sort().str.join(" ")
    )
    return tags.join(lists, on="item_id", how="left").sort("item_id")


if __name__ == "__main__":
    main()
