"""What is lost and gained on the way from the catalogue to the order."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.attribution import Chain
from trainer.attribution.chain import WholeCatalogue, chain
from trainer.data import Dataset
from trainer.evaluation.split import Split, held_out_events
from trainer.histories import histories_before
from trainer.progress import Reporter
from trainer.two_stage import TwoStage, places_of_both

Places = NDArray[np.int64]


def ndcg(places: Places) -> float:
    """At ten, of one wanted item each."""
    return float(np.where(places < 10, 1 / np.log2(places + 2.0), 0.0).mean())


@pytest.fixture(scope="module")
def events(planted: Dataset, split: Split) -> Places:
    """The test's."""
    return held_out_events(planted, split)


@pytest.fixture
def of_dot(untrained: Callable[[float], TwoStage]) -> Callable[[float], TwoStage]:
    """Both stages, whose ranker is so many times the inner product, over seven candidates."""

    def make(factor: float) -> TwoStage:
        model = untrained(factor)
        return replace(model, recipe=replace(model.recipe, ranker=replace(model.recipe.ranker, candidates=7)))

    return make


def test_gain_and_loss_are_shares() -> None:
    """Proves both by hand, that a loss is positive where the candidates lack something, and that of nothing is none."""
    whole = WholeCatalogue(events=10, items=0.5, candidates=0.4)
    one = Chain(items=100, candidates=10, recall={10: 0.5}, retrieval=0.2, two_stage=0.25, whole=whole)
    assert one.gain == pytest.approx(0.25)
    assert whole.loss == pytest.approx(0.2)
    assert replace(one, retrieval=0.0).gain is None
    assert replace(whole, items=0.0).loss is None
    assert one.plain()["whole_catalogue"]["loss"] == pytest.approx(0.2)
    assert replace(one, whole=None).plain()["whole_catalogue"] == "left out above 100,000 items"


def test_a_ranker_of_the_inner_product_adds_and_loses_nothing(
    of_dot: Callable[[float], TwoStage], planted: Dataset, events: Places, reporter: Reporter
) -> None:
    """Proves that its order over the candidates and over everything is retrieval's, and recall by hand."""
    model = of_dot(1.0)
    places = places_of_both(model, planted, events)
    found = chain(model, planted, events, places, reporter)
    assert found.recall == {k: (places[0] < k).mean() for k in (7, 50)}
    assert found.retrieval == found.two_stage == pytest.approx(ndcg(places[0]))
    assert found.gain == 0.0
    assert found.whole is not None
    assert found.whole.items == found.whole.candidates == found.two_stage


def test_the_whole_catalogue_is_ranked_to_its_end(
    of_dot: Callable[[float], TwoStage], planted: Dataset, events: Places, reporter: Reporter
) -> None:
    """Proves by hand that a ranker of the other way round loses the candidates' and finds what retrieval has last.

    What has place p of seven candidates has place 6 - p then, and among n items that a user does not have n - 1 - p.
    """
    model = of_dot(-1.0)
    places = places_of_both(model, planted, events)
    found = chain(model, planted, events, places, reporter)
    first = places[0]
    unseen = np.array([60 - len(np.unique(history.rows)) for history in histories_before(planted, events)])
    assert found.two_stage == pytest.approx(ndcg(np.where(first < 7, 6 - first, first)))
    assert found.whole is not None
    assert found.whole.events == len(events)
    assert found.whole.items == pytest.approx(ndcg(unseen - 1 - first))
    assert found.whole.candidates == found.two_stage


def test_a_large_catalogue_is_left_out(
    of_dot: Callable[[float], TwoStage],
    planted: Dataset,
    events: Places,
    reporter: Reporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Proves that above the stated size the ranker is not asked for the whole order, and that all else is there."""
    model = of_dot(1.0)
    places = places_of_both(model, planted, events)
    whole = chain(model, planted, events, places, reporter)
    monkeypatch.setattr("trainer.attribution.chain.LARGEST_CATALOGUE", 59)
    assert chain(model, planted, events, places, reporter) == replace(whole, whole=None)


def test_a_catalogue_of_some_size_is_ranked_for_fewer_events(
    of_dot: Callable[[float], TwoStage],
    planted: Dataset,
    events: Places,
    reporter: Reporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Proves that both orders are then of the same events, one at a time where memory holds no more."""
    model = of_dot(-1.0)
    places = places_of_both(model, planted, events)
    monkeypatch.setattr("trainer.attribution.chain._RANKED", 60 * 9)
    monkeypatch.setattr("trainer.attribution.chain._TOGETHER", 10)
    found = chain(model, planted, events, places, reporter).whole
    sample = np.linspace(0, len(events) - 1, 9).astype(np.int64)
    assert found is not None
    assert found.events == 9
    assert found.candidates == pytest.approx(ndcg(places[1][sample]))
    unseen = np.array([60 - len(np.unique(one.rows)) for one in histories_before(planted, events[sample])])
    assert found.items == pytest.approx(ndcg(unseen - 1 - places[0][sample]))
