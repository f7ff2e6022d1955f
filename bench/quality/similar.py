"""``python -m bench.quality.similar DATA --recipe RECIPE``: hit@10 of similar items on a log, beside their parts.

A query is an event of a slice. The latest earlier event of its user with another item gives the basket. For a hit, the
event's own item is among the ten. ``validation`` is the ranker's slice, with the tables and the encoder as of its
beginning; choose by it alone. ``test`` is the last slice, with the tables as of its beginning. Under ``liked``, only
likes are to be found, by the tables' columns for likes. The figures go to ``build/quality/similar-<data>.json``.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bench.harness.machine import machine
from bench.harness.processes import write_json
from bench.quality.measure import BUILD
from shortlist.bundle.item_item import FOLLOWS, HAD, LIKED, LIKED_AFTER
from shortlist.bundle.item_item_table import ItemItemTable
from shortlist.bundle.tables import ItemTables
from shortlist.inference.selection import best_first
from shortlist.inference.similar import mean_direction, similar_items
from trainer.data import Dataset
from trainer.data.split import evaluation_split, subsample
from trainer.errors import TrainerError
from trainer.features.statistics import item_tables
from trainer.jobs.inputs import read_inputs
from trainer.models.encoders.encoded import Encoded
from trainer.models.late_items import with_late_items
from trainer.progress import ConsoleReporter, Reporter
from trainer.protocols.next_like import CHOSEN_BY, METRICS, validation
from trainer.recipe import Recipe
from trainer.training.encoder.fit import fit_encoder
from trainer.training.encoder.training import Validation

_K, _NEAREST, _MOST_QUERIES, _TOGETHER = 10, 200, 5000, 200
_EXIT_BAD_INPUT = 2
Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Given items and wanted items, both ``[queries]``."""
Hits = dict[str, float]
"""The share of queries with a hit, by the name of a way to find similar items."""


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality.similar", description=__doc__)
    parser.add_argument("data", type=Path, help="the folder with the tables of the recipe")
    parser.add_argument("--recipe", type=Path, required=True, help="the recipe of the log")
    parser.add_argument("--seed", type=int, default=0, help="seed of the encoder (default: 0)")
    options = parser.parse_args()
    console, started = Console(stderr=True), time.monotonic()
    name = options.data.resolve().name
    try:
        found = measured(options.data, options.recipe, options.seed, ConsoleReporter(console))
    except TrainerError as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        return _EXIT_BAD_INPUT
    command = f"python -m bench.quality.similar {name} --recipe {options.recipe.name} --seed {options.seed}"
    cost = {"seconds": round(time.monotonic() - started, 1), "machine": machine(), "command": command}
    write_json(BUILD / f"similar-{name}.json", {"data": name, "hit@10": found, **cost})
    return 0


def measured(data: Path, recipe_path: Path, seed: int, reporter: Reporter) -> dict[str, dict[str, Hits]]:
    """The figures by slice, and in each of any interaction and, where only some are likes, of likes."""
    recipe, dataset = read_inputs(Recipe.read(recipe_path), data, reporter)
    split = evaluation_split(dataset, recipe.split)
    decides = Validation(
        queries=validation(dataset, split), metrics=METRICS, chosen_by=CHOSEN_BY, end=split.encoder_end
    )
    trained = fit_encoder(dataset, split.encoder_end, recipe.encoder, seed, reporter, decides)
    encoded = Encoded.of(trained.encoder, recipe.encoder.history)
    later, _ = with_late_items(encoded, dataset, split.ranker_end)
    found: dict[str, dict[str, Hits]] = {}
    for name, vectors, start, end in (
        ("validation", encoded.vectors, split.encoder_end, split.ranker_end),
        ("test", later.vectors, split.ranker_end, split.end),
    ):
        items = item_tables(dataset, start, recipe.statistics, vectors)
        kinds = {"any": False} if dataset.likes.all() else {"any": False, "liked": True}
        found[name] = {
            kind: hits(items, pairs(dataset, start, end, liked=liked), liked) for kind, liked in kinds.items()
        }
        for kind, figures in found[name].items():
            shown = "  ".join(f"{way} {share:.4f}" for way, share in figures.items())
            reporter.say(f"{name}, {kind}: hit@{_K}  {shown}")
    return found


def pairs(dataset: Dataset, start: int, end: int, *, liked: bool) -> Pairs:
    """The queries of events from ``start`` to ``end``, at most five thousand; only of likes with ``liked``."""
    events = np.arange(start, end)
    if liked:
        events = events[dataset.likes[start:end]]
    first = dataset.user_offsets[dataset.user_rows[events]]
    wanted = dataset.item_rows[events]
    given = first + dataset.position[events] - 1
    # The interactions before a buy are mostly with the bought item itself.
    while (same := (given >= first) & (dataset.histories.item_rows[given] == wanted)).any():
        given[same] -= 1
    kept = subsample(np.flatnonzero((given >= first) & dataset.listed[wanted]), _MOST_QUERIES)
    return dataset.histories.item_rows[given[kept]].astype(np.int64), wanted[kept]


def hits(items: ItemTables, queries: Pairs, liked: bool) -> Hits:
    """The share of hits of each way, and the number of ``queries``."""
    given, wanted = queries
    listed = _listed(items)
    lists = _ways(items, listed, liked)
    found = dict.fromkeys(lists, 0)
    for start in range(0, len(given), _TOGETHER):
        chunk = given[start : start + _TOGETHER]
        products = items.vectors[chunk] @ items.vectors.T
        products[np.arange(len(chunk)), chunk] = -np.inf
        products[:, ~listed] = -np.inf
        for one, target, line in zip(chunk, wanted[start : start + _TOGETHER], products, strict=True):
            for way, ten in lists.items():
                found[way] += int(target in ten(one, line))
    return {"queries": float(len(given)), **{way: count / len(given) for way, count in found.items()}}


def _listed(items: ItemTables) -> NDArray[np.bool_]:
    """Which items lists may hold, ``[items]``."""
    mask = np.full(len(items.ids), items.listed is None)
    if items.listed is not None:
        mask[items.listed] = True
    return mask


def _ways(
    items: ItemTables, listed: NDArray[np.bool_], liked: bool
) -> Mapping[str, Callable[[np.int64, NDArray[np.float32]], NDArray[np.int64]]]:
    """Ten rows by each way, from the given row and its inner products ``[items]`` with all items."""
    after, with_it = (LIKED_AFTER, LIKED) if liked else (FOLLOWS, HAD)
    norms = np.maximum(np.linalg.norm(items.vectors, axis=1), np.finfo(np.float32).tiny)
    return {
        "popularity": lambda one, _: _without(one, items.popular[: _K + 1].astype(np.int64)),
        "co-occurrence": lambda one, _: _neighbours(items.item_item.cooccurrence, one, after, listed),
        "SLIM": lambda one, _: _neighbours(items.item_item.slim, one, with_it, listed),
        "encoder, cosine": lambda _, line: best_first(line / norms, _K),
        "encoder, inner product": lambda _, line: best_first(line, _K),
        "similar": lambda one, line: _similar(items, one, best_first(line, _NEAREST), liked),
    }


def _without(one: np.int64, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    others: NDArray[np.int64] = rows[rows != one][:_K]
    return others


def _neighbours(table: ItemItemTable, one: np.int64, column: int, listed: NDArray[np.bool_]) -> NDArray[np.int64]:
    rows, weights = table.neighbours(np.array([one]), column)
    kept = (weights > 0) & (rows != one) & listed[rows]
    ten: NDArray[np.int64] = rows[kept][best_first(weights[kept], _K)]
    return ten


def _similar(items: ItemTables, one: np.int64, nearest: NDArray[np.int64], liked: bool) -> NDArray[np.int64]:
    basket = np.array([one])
    direction = mean_direction(items, basket)
    near = nearest if direction is not None else nearest[:0]
    return similar_items(items, basket, near, direction, excluded=basket, liked=liked, limit=_K).items.rows


if __name__ == "__main__":
    sys.exit(main())
