"""``python -m bench.live.cold_items``: the recall of new items through the services, beside the same model's offline.

Trains the recipe ``cold-items`` on CiteULike-a, as the protocol of that name does, and exports it. Then it puts the
articles of the test under new ids, hides all articles that the bundle has, and asks for each user's list. Texts longer
than an item may have are cut, and counted. Writes ``build/bench/live_cold_items.json``.
"""

import argparse
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import grpc
import polars as pl
from rich.console import Console
from rich.progress import track

from bench.datasets.cold_items import described
from bench.harness.machine import machine
from bench.harness.planted import BUILD
from bench.harness.processes import write_json
from bench.harness.untrained_ranker import with_untrained_ranker
from shortlist.bundle import Bundle, BundleStore
from shortlist.limits import MAX_ITEMS, MAX_TEXT_BYTES
from shortlist.live.v1 import catalog_service_pb2 as pb
from shortlist.live.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.retrieval.v1.retrieval_service_pb2 import RetrieveRequest
from shortlist.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.type.v1.user_pb2 import User
from testbed.services import Service
from trainer.analysis.measurement import lists_of_test
from trainer.data import load
from trainer.evaluation.metrics import figures
from trainer.export.bundle import export_bundle
from trainer.models.encoders.encoded import Encoded
from trainer.progress import Reporter
from trainer.protocols.cold import cold_items
from trainer.recipe import Recipe, SplitConfig
from trainer.recipe.rankers import NtnMlpConfig
from trainer.training.two_stage import fit_retrieval

_RECIPE = Path("trainer") / "recipes" / "cold-items.toml"
_FOLDER = BUILD / "live_cold_items"
_DEPTH, _CALL_SECONDS, _LOAD_SECONDS = 100, 30.0, 600.0
_NEW = "new-"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.live.cold_items", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with CiteULike-a's three tables")
    options = parser.parse_args()
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir(parents=True)
    events, items = _tables(options.data)
    offline = _export(events, items)
    tested = events.filter(pl.col("cold_split") == "test")
    served, cut = _served(tested, items), _longer(tested, items)
    figures_found = {"offline": offline, "served": served, "cut_texts": cut}
    write_json(BUILD / "live_cold_items.json", {"machine": machine(), **figures_found})
    Console().print(
        f"recall@{_DEPTH} of {tested['item_id'].n_unique():,} new items: {served:.4f} served, {offline:.4f} offline; "
        f"{cut} texts were cut"
    )


def _tables(data: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    events = pl.read_parquet(data / "interactions.parquet")
    tags, cited = pl.read_parquet(data / "item_tags.parquet"), pl.read_parquet(data / "citations.parquet")
    as_texts = pl.col("user_id", "item_id").cast(pl.String)
    return events.with_columns(as_texts), described(tags, cited).with_columns(pl.col("item_id").cast(pl.String))


def _export(events: pl.DataFrame, items: pl.DataFrame) -> float:
    """Trains and exports the model; the recall of its protocol. The ranker is left as it begins."""
    recipe = replace(Recipe.read(_RECIPE), ranker=NtnMlpConfig())
    task = cold_items(load(_written("all", events, items), recipe), recipe, _FOLDER / "all")
    trained = fit_retrieval(task, recipe, 0, Reporter())
    encoded = Encoded.of(trained.encoder, recipe.encoder.history)
    known = replace(recipe, split=SplitConfig())
    dataset = load(_written("known", events.filter(pl.col("cold_split") == "train"), items), known)
    if (dataset.item_ids != task.dataset.item_ids).any():
        raise SystemExit("the rows of the items are not those of the trained model")
    model = with_untrained_ranker(encoded, dataset, known)
    export_bundle(model, dataset, {}, _FOLDER / "bundles")
    return figures(lists_of_test(encoded.scores, task), [f"recall@{_DEPTH}"])[f"recall@{_DEPTH}"]


def _written(name: str, events: pl.DataFrame, items: pl.DataFrame) -> Path:
    folder = _FOLDER / name
    folder.mkdir()
    events.write_parquet(folder / "interactions.parquet")
    items.write_parquet(folder / "items.parquet")
    return folder


def _served(tested: pl.DataFrame, items: pl.DataFrame) -> float:
    """The recall of the lists of new items, as the protocol counts it."""
    with (
        Service.start("live_service", ["--store", str(_FOLDER / "items.sqlite")], _FOLDER / "live.log") as live,
        Service.start(
            "retrieval_service",
            ["--bundles", str(_FOLDER / "bundles"), "--live", live.address],
            _FOLDER / "retrieval.log",
        ) as retrieval,
        grpc.insecure_channel(live.address) as to_live,
        grpc.insecure_channel(retrieval.address) as to_retrieval,
    ):
        catalog, stub, user = CatalogServiceStub(to_live), RetrievalServiceStub(to_retrieval), tested["user_id"][0]
        last = _near(user, stub)
        _change(catalog, tested["item_id"].unique().to_list(), items)
        _wait_for(last, user, catalog, stub)
        return _recall(stub, tested)


def _change(catalog: CatalogServiceStub, new: Sequence[str], items: pl.DataFrame) -> None:
    """Puts the articles of the test under new ids, and hides all others."""
    rows = items.filter(pl.col("item_id").is_in(new))
    put = [_item(row) for row in rows.iter_rows(named=True)]
    for start in range(0, len(put), MAX_ITEMS):
        response = catalog.UpsertItems(
            pb.UpsertItemsRequest(items=put[start : start + MAX_ITEMS]), timeout=_CALL_SECONDS
        )
        refused = [status for status in response.statuses if status.outcome != pb.ITEM_OUTCOME_STORED]
        if refused:
            raise SystemExit(f"{len(refused)} items were refused: {refused[0].field} {refused[0].description}")
    known = items["item_id"].to_list()
    for start in range(0, len(known), MAX_ITEMS):
        request = pb.SetAvailabilityRequest(item_ids=known[start : start + MAX_ITEMS])
        request.availability.hidden = True
        catalog.SetAvailability(request, timeout=_CALL_SECONDS)


def _longer(tested: pl.DataFrame, items: pl.DataFrame) -> int:
    """How many texts of new items are longer than an item may have."""
    rows = items.filter(pl.col("item_id").is_in(tested["item_id"].unique().to_list()))
    return int(sum((rows[name].str.len_bytes() > MAX_TEXT_BYTES).sum() for name in ("tags", "linked_tags")))


def _item(row: dict[str, object]) -> pb.Item:
    item = pb.Item(item_id=f"{_NEW}{row['item_id']}")
    for name in ("tags", "linked", "linked_tags"):
        value = row[name]
        if isinstance(value, list):
            item.content.columns[name].texts.values.extend(value)
        elif isinstance(value, str):
            item.content.columns[name].text = value.encode()[:MAX_TEXT_BYTES].decode(errors="ignore")
    return item


def _wait_for(last: pb.Item, user: str, catalog: CatalogServiceStub, retrieval: RetrievalServiceStub) -> None:
    """Puts an item after all others, waits until it is found, and deletes it."""
    catalog.UpsertItems(pb.UpsertItemsRequest(items=[last]), timeout=_CALL_SECONDS)
    request, end = RetrieveRequest(user=User(user_id=user), limit=_DEPTH), time.monotonic() + _LOAD_SECONDS
    while last.item_id not in _ids(retrieval, request):
        if time.monotonic() > end:
            raise SystemExit(f"not all new items are known after {_LOAD_SECONDS:.0f} s; see the logs in {_FOLDER}")
        time.sleep(0.2)
    catalog.DeleteItems(pb.DeleteItemsRequest(item_ids=[last.item_id]), timeout=_CALL_SECONDS)
    # Hidden and deleted items are gone within a second.
    time.sleep(1.0)


def _near(user: str, retrieval: RetrievalServiceStub) -> pb.Item:
    """An item with the vector of the first candidate of a user, and longer."""
    bundle = Bundle.open(BundleStore(_FOLDER / "bundles").current())
    (first,) = _ids(retrieval, RetrieveRequest(user=User(user_id=user), limit=1))
    item = pb.Item(item_id="last")
    item.content.vector.bundle_id = bundle.bundle_id
    item.content.vector.values.extend(1.5 * bundle.items.vectors[bundle.items.ids.searchsorted(first.encode())])
    return item


def _ids(retrieval: RetrievalServiceStub, request: RetrieveRequest) -> list[str]:
    return [one.item_id for one in retrieval.Retrieve(request, timeout=_CALL_SECONDS).candidates]


def _recall(retrieval: RetrievalServiceStub, tested: pl.DataFrame) -> float:
    relevant = {user: set(ids) for user, ids in tested.group_by("user_id").agg("item_id").iter_rows()}
    found = list[float]()
    for user, wanted in track(relevant.items(), "lists of new items", console=Console(stderr=True)):
        request = RetrieveRequest(user=User(user_id=user), limit=_DEPTH)
        listed = {item_id.removeprefix(_NEW) for item_id in _ids(retrieval, request)}
        found.append(len(wanted & listed) / len(wanted))
    return sum(found) / len(found)


if __name__ == "__main__":
    main()
