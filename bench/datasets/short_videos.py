"""``python -m bench.datasets.short_videos``: KuaiRand-Pure's standard log as tables, split by day.

Impressions from 25 to 30 April are for training, from 1 to 8 May for the test. Statistics of the whole period are left
out, because they contain the test.
"""

import argparse
from pathlib import Path

import polars as pl

_PARTS = {"val": "train", "test": "test"}
_LONG, _LIKED = 1.0, 2.0


def main() -> None:
    """Writes ``interactions.parquet``, ``impressions.parquet``, ``users.parquet`` and ``items.parquet``."""
    parser = argparse.ArgumentParser(prog="python -m bench.datasets.short_videos", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the published tables")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    options = parser.parse_args()
    log = pl.read_parquet(options.data / "log.parquet").unique(
        ["user_id", "video_id", "time_ms"], keep="first", maintain_order=True
    )
    log = log.rename({"video_id": "item_id"}).with_columns(timestamp=pl.col("time_ms") // 1000)
    past = pl.read_parquet(options.data / "user_history_before.parquet")
    options.out.mkdir(parents=True, exist_ok=True)
    pl.concat([watched_before(past), clicked(log)]).write_parquet(options.out / "interactions.parquet")
    impressions(log).write_parquet(options.out / "impressions.parquet")
    pl.read_parquet(options.data / "users.parquet").write_parquet(options.out / "users.parquet")
    videos = pl.read_parquet(options.data / "videos.parquet").rename({"video_id": "item_id"})
    videos.with_columns(pl.col("tag").str.split(",")).write_parquet(options.out / "items.parquet")


def watched_before(past: pl.DataFrame) -> pl.DataFrame:
    """Interactions of the users' lists, oldest first, one second apart: only the last one's time is known."""
    seen = past.select("user_id", "watch_seq", "like_seq", "long_watch_seq", last=pl.col("last_time_ms") // 1000)
    seen = seen.with_columns(back=pl.int_ranges(pl.col("watch_seq").list.len(), 0, -1) - 1)
    seen = seen.explode("watch_seq", "back")
    return seen.drop_nulls("watch_seq").select(
        "user_id",
        item_id="watch_seq",
        timestamp=pl.col("last") - pl.col("back"),
        value=_value(
            pl.col("watch_seq").is_in(pl.col("long_watch_seq")), pl.col("watch_seq").is_in(pl.col("like_seq"))
        ),
    )


def clicked(log: pl.DataFrame) -> pl.DataFrame:
    """Interactions of the clicked impressions."""
    found = log.filter(pl.col("is_click") == 1)
    value = _value(pl.col("long_view") == 1, pl.col("is_like") == 1)
    return found.select("user_id", "item_id", "timestamp", value=value)


def impressions(log: pl.DataFrame) -> pl.DataFrame:
    """Impressions with their outcomes; the hour is China's."""
    hour = ((pl.col("timestamp") // 3600 + 8) % 24).cast(pl.String)
    objectives = {"click": "is_click", "like": "is_like", "long_view": "long_view"}
    return log.select(
        "user_id",
        "item_id",
        "timestamp",
        pl.col("tab").cast(pl.String),
        hour.alias("hour"),
        *(pl.col(column).alias(name) for name, column in objectives.items()),
        split=pl.col("part").cast(pl.String).replace_strict(_PARTS),
    )


def _value(long: pl.Expr, liked: pl.Expr) -> pl.Expr:
    """0 for a view, 1 for a long view, 2 for a like."""
    return pl.when(liked).then(_LIKED).when(long).then(_LONG).otherwise(0.0)


if __name__ == "__main__":
    main()
