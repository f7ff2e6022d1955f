"""The figure that chooses the ranker's epoch on data without impressions."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.data.history_slices import HistorySlices
from trainer.data.split import Split
from trainer.evaluation.metrics import report
from trainer.models.pipeline import TrainedPipeline
from trainer.models.rankers.id_embeddings import IdEmbeddingLayer
from trainer.models.rankers.objectives import Objectives
from trainer.recipe import ObjectiveConfig
from trainer.training.ranker.retrieved_examples import RetrievedExamples

OBJECTIVES = Objectives.declared({"like": ObjectiveConfig()})
CANDIDATES = 40
# From whether a candidate is the chosen one, [n, C], to the column.
Column = Callable[[NDArray[np.bool_]], NDArray[np.floating]]


@pytest.fixture
def examples(fitted: TrainedPipeline, planted: Dataset, split: Split) -> RetrievedExamples:
    """The events of the test, and their retrieved candidates."""
    events = np.arange(split.ranker_end, split.end)
    events = events[planted.position[events] >= 1]
    return RetrievedExamples.of(planted, fitted.encoded, fitted.items, events, OBJECTIVES, fitted.recipe.ranker)


def ndcg(examples: RetrievedExamples, column: Column) -> float:
    """The figure of a ranker that says this of every list."""

    def columns(places: NDArray[np.int64]) -> NDArray[np.float32]:
        is_chosen = np.arange(CANDIDATES) == examples.chosen[places][:, None]
        return np.asarray(column(is_chosen), dtype=np.float32)[..., None]

    return examples.figures(columns, examples.usable)["ndcg@10"]


def of_places(examples: RetrievedExamples, places: NDArray[np.int64]) -> float:
    """The figure, by hand, of chosen ones at these places of the usable lists that a like is the end of."""
    liked = examples.likes[examples.usable]
    relevant = examples.likes[examples.usable[0] :].sum()
    return float(report(places[liked])["ndcg@10"] * liked.sum() / relevant)


def test_of_equal_scores_the_earlier_candidate_is_first(examples: RetrievedExamples) -> None:
    """Proves that a ranker of equal scores has the figure of retrieval's order, as in serving."""
    expected = of_places(examples, examples.chosen[examples.usable])
    assert 0 < expected < 0.95
    assert ndcg(examples, np.zeros_like) == pytest.approx(expected)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_behind_all_numbers(examples: RetrievedExamples, broken: float) -> None:
    """Proves that a ranker of NaN or infinity alone is the worst there is, and that neither stands before a number."""
    assert ndcg(examples, lambda is_chosen: np.full(is_chosen.shape, broken)) == 0
    assert ndcg(examples, lambda is_chosen: np.where(is_chosen, broken, 0.0)) == 0
    first = ndcg(examples, lambda is_chosen: np.where(is_chosen, 0.0, broken))
    assert first == pytest.approx(of_places(examples, np.zeros_like(examples.usable)))


def test_what_fills_a_list_is_behind_what_is_offered(fitted: TrainedPipeline, planted: Dataset, split: Split) -> None:
    """Proves that fillers of a short list, items the user has already, rank behind all candidates.

    They are not served, however high a ranker scores them.
    """
    events = np.arange(split.ranker_end, split.end)
    whole = replace(fitted.recipe.ranker, candidates=len(planted.item_ids))
    examples = RetrievedExamples.of(planted, fitted.encoded, fitted.items, events, OBJECTIVES, whole)
    histories = [set(history.rows.tolist()) for history in HistorySlices.before(planted, events).listed()]
    assert any(histories)

    def columns(places: NDArray[np.int64]) -> NDArray[np.float32]:
        rows = examples.inputs.candidates.rows[places]
        known = [[row in histories[place] for row in line] for place, line in zip(places, rows.tolist(), strict=True)]
        chosen = rows == planted.item_rows[events[places]][:, None]
        return np.where(known, 2.0, np.where(chosen, 1.0, 0.0)).astype(np.float32)[..., None]

    assert examples.figures(columns, examples.usable)["ndcg@10"] == 1


def test_a_sample_is_the_chosen_one_and_others_at_random(examples: RetrievedExamples) -> None:
    """Proves that no candidate is there twice, that another draw has others, and that each comes up in time."""
    random, places = np.random.default_rng(0), examples.usable[:20]
    drawn = [examples.sample(places, 8, random) for _ in range(60)]
    assert {one.shape for one in drawn} == {(20, 8)}
    for one in drawn:
        np.testing.assert_array_equal(one[:, 0], examples.chosen[places])
        assert all(len(set(line)) == 8 for line in one.tolist())
    assert (drawn[0] != drawn[1]).any(axis=1).all()
    assert set(np.stack(drawn)[:, 0].ravel().tolist()) == set(range(CANDIDATES))


def test_of_a_short_list_all_are_learnt_from(examples: RetrievedExamples) -> None:
    """Proves that a sample is never longer than the list."""
    sample = examples.sample(examples.usable[:5], 1000, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(sample, axis=1), np.tile(np.arange(CANDIDATES), (5, 1)))


def test_a_sample_keeps_what_is_known_of_each_candidate(examples: RetrievedExamples, fitted: TrainedPipeline) -> None:
    """Proves that the inputs of a sampled candidate are those of the whole list, place and id embedding included.

    The loss is that of the sample, with the chosen candidate in front.
    """
    places, id_embeddings = (
        examples.usable[:6],
        IdEmbeddingLayer(len(fitted.items.ids), len(fitted.id_embeddings.users), 4),
    )
    id_embeddings.begin(*examples.inputs.met(places))
    sample = examples.sample(places, 8, np.random.default_rng(0))
    whole = examples.inputs.at(places, id_embeddings)
    found = examples.inputs.at(places, id_embeddings, sample=sample)
    assert found.keys() == whole.keys()
    for name, values in found.items():
        of_list = whole[name]
        if name.startswith("candidate_"):
            of_list = of_list[torch.arange(len(places))[:, None], torch.from_numpy(sample)]
        torch.testing.assert_close(values, of_list, equal_nan=True)
    np.testing.assert_array_equal(found["candidate_places"].numpy(), sample)
    columns = torch.zeros(len(places), 8, 1)
    columns[:, 0] = 3.0
    assert examples.likes[places].any()
    loss = examples.loss(columns, places)
    assert loss.item() == pytest.approx(np.log(1 + 7 * np.exp(-3)), rel=1e-5)
