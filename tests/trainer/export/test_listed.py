"""A model and its bundle when lists may hold some of the items only."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval_service.index import FaissIndex
from shortlist.bundle import Bundle
from shortlist.inference.popular import popular_rows
from trainer.analysis.measurement import baseline_lists, two_stage_lists
from trainer.data import Dataset
from trainer.data.history_slices import HistorySlices
from trainer.data.split import Split, held_out_events
from trainer.evaluation.queries import Queries
from trainer.export.bundle import export_bundle
from trainer.features.statistics import item_tables
from trainer.models.pipeline import TrainedPipeline, retrieve
from trainer.protocols.next_like import next_like_task
from trainer.recipe import IndexConfig


@pytest.fixture(scope="module")
def some(planted: Dataset) -> Dataset:
    """The planted data, every third of whose items no list may hold."""
    return replace(planted, listed=np.arange(len(planted.item_ids)) % 3 != 0)


@pytest.fixture(scope="module")
def model(some: Dataset, fitted: TrainedPipeline) -> TrainedPipeline:
    """The fitted model over the tables of these items."""
    encoded = fitted.encoded
    items = item_tables(some, len(some.times), fitted.recipe.statistics, encoded.vectors, encoded.inputs)
    recipe = replace(fitted.recipe, index=IndexConfig(spec="Flat"))
    return replace(fitted, items=items, recipe=recipe)


def test_no_list_of_any_model_holds_another_item(some: Dataset, split: Split, model: TrainedPipeline) -> None:
    """Proves it for both stages and every baseline, and that no query asks for such an item."""
    task = next_like_task(some, split)
    assert some.listed[task.test.relevant_pairs()[1]].all()
    lists = two_stage_lists(model, task) | baseline_lists(task)
    assert {"retrieval", "two_stage", "popularity", "itemknn"} <= set(lists)
    for name, found in lists.items():
        rows = found.rows[found.rows >= 0]
        assert some.listed[rows].all(), name
        assert len(np.unique(rows)) == some.listed.sum(), name


def test_the_candidates_are_no_more_than_lists_may_hold(some: Dataset, split: Split, model: TrainedPipeline) -> None:
    """Proves that the ranker learns from no item that stands in for a candidate; 40 items are listed."""
    events = held_out_events(some, split)[:9]
    features = some.known_user_features[some.user_rows[events]]
    histories = HistorySlices.before(some, events).listed()
    found = retrieve(model.encoded, model.items, histories, features, 50, model.seen_events).candidates
    assert found.rows.shape == (9, 40)
    assert some.listed[found.rows[np.isfinite(found.scores)]].all()


def test_a_bundle_retrieves_what_was_measured(
    some: Dataset, split: Split, model: TrainedPipeline, empty_graphs: None, tmp_path: Path
) -> None:
    """Proves that the index has the listed items alone and finds those of the evaluation, and the popular ones."""
    bundle = Bundle.open(export_bundle(model, some, {}, tmp_path))
    assert bundle.items.listed is not None
    assert bundle.items.listed.tolist() == np.flatnonzero(some.listed).tolist()
    assert bundle.manifest.index.recall_at == 40
    queries = Queries.of_events(some, held_out_events(some, split)[:9])
    profiles = queries.profiles()
    found = retrieve(model.encoded, model.items, profiles.histories, profiles.features, 10, model.seen_events)
    index = FaissIndex(bundle)
    for vector, rows, history in zip(found.user_vectors, found.candidates.rows, profiles.histories, strict=True):
        nearest = index.search(vector, 40).rows
        assert nearest[~np.isin(nearest, history.rows)][:10].tolist() == rows.tolist()
    popular = popular_rows(bundle.items, 60, np.zeros(0, dtype=np.int64))
    assert some.listed[popular].all()
    assert len(popular) == 40
