"""Boosted trees beside the rankers, on planted data."""

from dataclasses import replace

import numpy as np
import pytest

from trainer.analysis.measurement import evaluate_two_stage
from trainer.baselines.trees.impressions import fit_objective
from trainer.baselines.trees.rows import CandidateRows
from trainer.baselines.trees.two_stage import fit_trees
from trainer.data import Dataset
from trainer.data.split import Split
from trainer.models.pipeline import TrainedPipeline
from trainer.progress import Reporter
from trainer.protocols.next_like import next_like_task
from trainer.recipe import Recipe
from trainer.training.two_stage import ranker_training


@pytest.fixture(scope="module")
def trees(fitted: TrainedPipeline, planted: Dataset, split: Split, reporter: Reporter) -> TrainedPipeline:
    """Both stages, the second of trees."""
    return fit_trees(fitted, planted, split, 0, reporter)


def test_trees_in_the_rankers_place_learn_what_was_planted(
    trees: TrainedPipeline, planted: Dataset, split: Split
) -> None:
    """Proves that LambdaMART orders the candidates as well as the rankers have to on the same data."""
    figures = evaluate_two_stage(trees, next_like_task(planted, split))
    assert figures["two_stage"]["ndcg@10"] > 0.8
    assert figures["two_stage"]["recall@200"] == figures["retrieval"]["recall@200"]


def test_they_are_the_baseline_of_a_ranker_with_numbers_of_its_own_too(
    trees: TrainedPipeline, fitted: TrainedPipeline, planted: Dataset, split: Split, reporter: Reporter
) -> None:
    """Proves that a ranker's id embeddings are not among the features of the trees."""
    own = replace(fitted, recipe=replace(fitted.recipe, ranker=replace(fitted.recipe.ranker, embedding=3)))
    assert np.array_equal(fit_trees(own, planted, split, 0, reporter).items.features, trees.items.features)


def test_rows_end_with_which_user_and_item_it_is(
    fitted: TrainedPipeline, planted: Dataset, split: Split, recipe: Recipe, reporter: Reporter
) -> None:
    """Proves that each candidate's row is of its own user and item, and otherwise as it is without them."""
    training = ranker_training(fitted.encoded, planted, split, recipe, 0, reporter)
    inputs, places = training.examples.inputs, training.early[[3, 0, 8]]
    with_ids, without = (CandidateRows(training.spec, ids=ids) for ids in (True, False))
    rows = with_ids.of(inputs, places)
    assert np.array_equal(rows[:, :-2], without.of(inputs, places))
    count = inputs.candidates.rows.shape[1]
    assert np.array_equal(rows[:, -2], np.repeat(inputs.user_rows[places], count))
    assert np.array_equal(rows[:, -1], inputs.candidates.rows[places].ravel())


def test_an_id_is_a_category() -> None:
    """Proves that what depends on which item it is, in no order of the items, is learnt where these are categories."""
    random = np.random.default_rng(0)
    ids = random.integers(0, 500, (20_000, 2)).astype(np.float32)
    good = random.random(500) < 0.5
    labels = good[ids[:, 1].astype(np.int64)].astype(np.float32)
    rows = np.hstack([random.random((len(ids), 1), dtype=np.float32), ids])
    learnt, deciding = (rows[:15_000], labels[:15_000]), (rows[15_000:], labels[15_000:])
    said = fit_objective(learnt, deciding, 0, is_value=False, again=False, ids=True).predict(deciding[0])
    assert np.corrcoef(np.asarray(said), deciding[1])[0, 1] > 0.9
