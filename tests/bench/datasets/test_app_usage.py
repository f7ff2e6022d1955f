"""Negatives of Frappe, on planted usage."""

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bench.datasets.app_usage import CONTEXT, main, with_unused

APPS = np.arange(6)


@pytest.fixture
def used() -> pl.DataFrame:
    """Three users' apps, each use in a distinct context; the first user has used all apps but one."""
    pairs = [(0, app) for app in range(5)] + [(1, 2), (1, 2), (2, 0)]
    users, items = (pl.Series(column, dtype=pl.Int16) for column in zip(*pairs, strict=True))
    contexts = {name: [f"{name}{place}" for place in range(len(pairs))] for name in CONTEXT}
    return pl.DataFrame({"user": users, "item": items, **contexts, "split": ["train"] * len(pairs)})


def test_each_use_gets_two_apps_that_its_user_never_used(used: pl.DataFrame) -> None:
    """Proves that uses stay unchanged, and that negatives have the user and context of a use."""
    found = with_unused(used, APPS, 0)
    same = ["user", *CONTEXT]
    kept, drawn = found.filter(label=1), found.filter(label=0)
    assert kept.select(used.columns).sort(CONTEXT).equals(used.sort(CONTEXT))
    assert Counter(drawn.select(same).rows()) == dict.fromkeys(used.select(same).rows(), 2)
    assert not set(drawn.select("user", "item").rows()) & set(used.select("user", "item").rows())
    assert set(drawn.filter(user=0)["item"]) == {5}
    assert len(set(drawn.filter(pl.col("user") > 0)["item"])) > 1


def test_the_seed_determines_the_draw(used: pl.DataFrame) -> None:
    """Proves that equal seeds give equal rows in equal order, and another seed gives others."""
    found = with_unused(used, APPS, 0)
    assert found.equals(with_unused(used, APPS, 0))
    assert not found.equals(with_unused(used, APPS, 1))


def test_the_published_rows_stay_unchanged(used: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that validation and test rows affect neither interactions nor negatives, and keep their labels."""
    tested = used.with_columns(item=pl.lit(5, pl.Int16), split=pl.lit("test"))
    pl.concat([used, tested]).write_parquet(tmp_path / "log.parquet")
    apps = pl.DataFrame({"item": range(6, -1, -1), "name": list("gfedcba")}, schema_overrides={"item": pl.Int16})
    apps.write_parquet(tmp_path / "apps.parquet")
    given = pl.concat([tested, used.with_columns(split=pl.lit("valid"))]).with_columns(
        label=pl.Series([1, 0] * len(used), dtype=pl.Int8)
    )
    given.write_parquet(tmp_path / "eval_rows.parquet")
    out = tmp_path / "out"
    monkeypatch.setattr("sys.argv", ["app_usage", "--data", str(tmp_path), "--out", str(out)])
    main()
    done, shown = (pl.read_parquet(out / f"{name}.parquet") for name in ("interactions", "impressions"))
    assert done.rows() == used.select("user", "item").rows()
    assert set(shown.filter(split="train", user_id=0, label=0)["item_id"]) == {5, 6}
    assert shown["split"].value_counts().sort("split").rows() == [("test", 8), ("train", 24), ("validation", 8)]
    columns = ["user_id", "item_id", *CONTEXT, "label"]
    assert shown.filter(pl.col("split") != "train").select(columns).rows() == (
        given.rename({"user": "user_id", "item": "item_id"}).select(columns).rows()
    )
