"""``python -m bench.datasets.cold_users``: Last.fm of HetRec 2011 as tables that describe users by their friends.

The split was published with other user ids than the friendships. The listening graph alone matches the ids, by colour
refinement (Weisfeiler and Leman, 1968). Users share a colour when their artists do, and artists when their listeners
do, until the colours are stable. Six users with one artist each remain alike; they are paired in order.
"""

import argparse
from pathlib import Path

import polars as pl

_ROUNDS = 10


def main() -> None:
    """Writes ``interactions.parquet`` (the split) and ``users.parquet`` (a list of friends by the split's ids)."""
    parser = argparse.ArgumentParser(prog="python -m bench.datasets.cold_users", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the three published tables")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    options = parser.parse_args()
    listened = pl.read_parquet(options.data / "user_artists.parquet").select(user="userID", item="artistID")
    split = pl.read_parquet(options.data / "cold_user_split.parquet")
    names = same_users(listened, split.select(user="uid", item="iid"))
    options.out.mkdir(parents=True, exist_ok=True)
    split.rename({"uid": "user_id", "iid": "item_id"}).write_parquet(options.out / "interactions.parquet")
    friends = pl.read_parquet(options.data / "user_friends.parquet").select(user="userID", friend="friendID")
    circles(friends, names).write_parquet(options.out / "users.parquet")


def same_users(first: pl.DataFrame, second: pl.DataFrame) -> pl.DataFrame:
    """Pairs ``user``, ``named`` of the users of two bipartite graphs that differ only in ids.

    Each row of ``first`` and ``second`` is an edge ``user``, ``item``.

    Raises:
        ValueError: the graphs differ.
    """
    edges = pl.concat(
        [one.cast(pl.Int64).with_columns(graph=pl.lit(graph)) for graph, one in enumerate((first, second))]
    ).with_columns(user_colour=pl.lit(0, pl.UInt32), item_colour=pl.lit(0, pl.UInt32))
    for _ in range(_ROUNDS):
        edges = _recoloured(_recoloured(edges, "user", "item"), "item", "user")
    users = edges.select("graph", "user", "user_colour").unique().sort("user")
    users = users.with_columns(place=pl.int_range(pl.len()).over("graph", "user_colour"))
    left, right = (users.filter(pl.col("graph") == graph).drop("graph") for graph in (0, 1))
    pairs = left.join(right.rename({"user": "named"}), on=["user_colour", "place"]).select("user", "named")
    if not len(pairs) == len(left) == len(right):
        raise ValueError(f"the graphs differ: {len(left)} and {len(right)} users, {len(pairs)} of them matched")
    return pairs


def circles(friends: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """``user_id`` and ``circle``, the user with their friends: a user's taste also describes their friends."""
    rows = pl.concat([friends.cast(pl.Int64), names.select("user", friend="user")])
    rows = rows.join(names, on="user").join(names.select(friend="user", named_friend="named"), on="friend")
    return (
        rows.sort("named", "named_friend")
        .group_by("named", maintain_order=True)
        .agg(circle="named_friend")
        .rename({"named": "user_id"})
    )


def _recoloured(edges: pl.DataFrame, side: str, other: str) -> pl.DataFrame:
    """Recolours the nodes of one side by their own colour and their neighbours' colours."""
    nodes = edges.group_by("graph", side).agg(pl.col(f"{side}_colour").first(), around=pl.col(f"{other}_colour").sort())
    ranked = pl.concat_str(f"{side}_colour", pl.col("around").cast(pl.List(pl.String)).list.join(","), separator=":")
    nodes = nodes.select("graph", side, ranked.rank("dense").alias(f"{side}_colour"))
    return edges.drop(f"{side}_colour").join(nodes, on=["graph", side])


if __name__ == "__main__":
    main()
