"""``python -m bench.datasets.app_usage``: Frappe as tables, the published split with new training negatives.

Only the positives of the published training rows are available. For each of them, two apps that its user never used in
training are drawn in the same context. The published validation and test rows were made in the same way.
"""

import argparse
from pathlib import Path

import numpy as np
import polars as pl

CONTEXT = ("daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city")
_NEGATIVES = 2
_PARTS = {"train": "train", "valid": "validation", "test": "test"}


def main() -> None:
    """Writes ``interactions.parquet`` (the training positives), ``items.parquet`` and ``impressions.parquet``."""
    parser = argparse.ArgumentParser(prog="python -m bench.datasets.app_usage", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the published tables")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--seed", type=int, default=0, help="of the random draw (default: 0)")
    options = parser.parse_args()
    used = pl.read_parquet(options.data / "log.parquet").filter(pl.col("split") == "train")
    apps = pl.read_parquet(options.data / "apps.parquet").sort("item")
    given = pl.read_parquet(options.data / "eval_rows.parquet")
    options.out.mkdir(parents=True, exist_ok=True)
    used.select(user_id="user", item_id="item").write_parquet(options.out / "interactions.parquet")
    apps.rename({"item": "item_id"}).write_parquet(options.out / "items.parquet")
    learnt = with_unused(used, apps["item"].to_numpy(), options.seed)
    columns = [pl.col("user").alias("user_id"), pl.col("item").alias("item_id"), *CONTEXT, "label", "split"]
    rows = [part.select(columns).with_columns(pl.col(*CONTEXT, "split").cast(pl.String)) for part in (learnt, given)]
    shown = pl.concat(rows, how="vertical_relaxed").with_columns(pl.col("split").replace_strict(_PARTS))
    shown.write_parquet(options.out / "impressions.parquet")


def with_unused(used: pl.DataFrame, apps: np.ndarray[tuple[int], np.dtype[np.int64]], seed: int) -> pl.DataFrame:
    """The rows with ``label`` 1, and for each two rows with ``label`` 0 whose ``item`` its ``user`` never used."""
    random = np.random.default_rng(seed)
    rows = pl.concat([used.with_columns(label=0)] * _NEGATIVES)
    taken = set(zip(used["user"].to_list(), used["item"].to_list(), strict=True))
    users, items = rows["user"].to_list(), random.choice(apps, len(rows))
    for place, user in enumerate(users):
        while (user, int(items[place])) in taken:
            items[place] = random.choice(apps)
    unused = rows.with_columns(item=pl.Series(items).cast(used["item"].dtype))
    return pl.concat([used.with_columns(label=1), unused]).sample(fraction=1, shuffle=True, seed=seed)


if __name__ == "__main__":
    main()
