"""Losses and gains on the way from the catalogue to the order."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.analysis import Chain
from trainer.analysis.chain import WholeCatalogue, chain
from trainer.analysis.measurement import lists_of_test
from trainer.data import Dataset
from trainer.data.split import Split
from trainer.evaluation.metrics import Rankings
from trainer.models.pipeline import TrainedPipeline
from trainer.progress import Reporter
from trainer.protocols.next_like import next_like_task
from trainer.protocols.task import Task

Places = NDArray[np.int64]


def ndcg(places: Places) -> float:
    """At ten, of one relevant item each."""
    return float(np.where(places < 10, 1 / np.log2(places + 2.0), 0.0).mean())


def places_of(lists: Rankings) -> Places:
    """Where the relevant item of each query is; the lists hold every item that a user does not have."""
    assert lists.hits.any(axis=1).all()
    return np.asarray(lists.hits.argmax(axis=1))


@pytest.fixture(scope="module")
def task(planted: Dataset, split: Split) -> Task:
    """The planted data's."""
    return next_like_task(planted, split)


@pytest.fixture
def of_dot(untrained: Callable[[float], TrainedPipeline]) -> Callable[[float], TrainedPipeline]:
    """Both stages, whose ranker is so many times the inner product, over seven candidates."""

    def make(factor: float) -> TrainedPipeline:
        model = untrained(factor)
        return replace(model, recipe=replace(model.recipe, ranker=replace(model.recipe.ranker, candidates=7)))

    return make


def answers(model: TrainedPipeline, task: Task) -> tuple[Rankings, Rankings]:
    """The answers of retrieval and of both stages."""
    return lists_of_test(model.encoded.scores, task), lists_of_test(model.scores, task)


def test_gain_and_loss_are_shares() -> None:
    """Proves both by hand, that a loss is positive where the candidates lack something, and that of nothing is none."""
    whole = WholeCatalogue(queries=10, items=0.5, candidates=0.4)
    one = Chain(items=100, candidates=10, recall={10: 0.5}, retrieval=0.2, two_stage=0.25, whole=whole)
    assert one.gain == pytest.approx(0.25)
    assert whole.loss == pytest.approx(0.2)
    assert replace(one, retrieval=0.0).gain is None
    assert replace(whole, items=0.0).loss is None
    assert one.plain()["whole_catalogue"]["loss"] == pytest.approx(0.2)
    assert replace(one, whole=None).plain()["whole_catalogue"] == "left out above 100,000 items"


def test_a_ranker_of_the_inner_product_adds_and_loses_nothing(
    of_dot: Callable[[float], TrainedPipeline], task: Task, reporter: Reporter
) -> None:
    """Proves that its order over the candidates and over everything is retrieval's, and recall by hand."""
    model = of_dot(1.0)
    retrieved, ranked = answers(model, task)
    found, places = chain(model, task, retrieved, ranked, reporter), places_of(retrieved)
    assert found.recall == pytest.approx({k: (places < k).mean() for k in (7, 50)})
    assert found.retrieval == found.two_stage == pytest.approx(ndcg(places))
    assert found.gain == 0.0
    assert found.whole == WholeCatalogue(queries=len(places), items=found.retrieval, candidates=found.retrieval)


@pytest.mark.parametrize("sampled", [None, 9])
def test_the_whole_catalogue_is_ranked_to_its_end(
    of_dot: Callable[[float], TrainedPipeline],
    task: Task,
    reporter: Reporter,
    monkeypatch: pytest.MonkeyPatch,
    sampled: int | None,
) -> None:
    """Proves by hand that a ranker of the other way round loses the candidates' and finds what retrieval has last, also
    where both are of a few queries, one ranked at a time.

    What has place p of seven candidates has place 6 - p then, and among n items that a user does not have n - 1 - p.
    """
    if sampled is not None:
        monkeypatch.setattr("trainer.analysis.chain._RANKED", 60 * sampled)
        monkeypatch.setattr("trainer.analysis.chain._TOGETHER", 10)
    model = of_dot(-1.0)
    retrieved, ranked = answers(model, task)
    found, first = chain(model, task, retrieved, ranked, reporter), places_of(retrieved)
    unseen = np.array([60 - len(np.unique(history.rows)) for history in task.test.profiles().histories])
    of_candidates = np.where(first < 7, 6 - first, first)
    assert found.two_stage == pytest.approx(ndcg(of_candidates))
    queries = np.linspace(0, len(first) - 1, sampled or len(first)).astype(np.int64)
    assert found.whole is not None
    assert found.whole.queries == len(queries)
    assert found.whole.items == pytest.approx(ndcg((unseen - 1 - first)[queries]))
    assert found.whole.candidates == pytest.approx(ndcg(of_candidates[queries]))


def test_a_large_catalogue_is_left_out(
    of_dot: Callable[[float], TrainedPipeline], task: Task, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that above the stated size the ranker is not asked for the whole order, and that all else is there."""
    model = of_dot(1.0)
    lists = answers(model, task)
    whole = chain(model, task, *lists, reporter)
    monkeypatch.setattr("trainer.analysis.chain.LARGEST_CATALOGUE", 59)
    assert chain(model, task, *lists, reporter) == replace(whole, whole=None)
