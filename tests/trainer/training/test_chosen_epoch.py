"""Which epoch is kept, in either stage, where it is known beforehand which is the best."""

import copy
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.trainer.configs import encoder_config
from trainer.data import Dataset
from trainer.data.split import Split
from trainer.models.encoders.encoded import Encoded
from trainer.models.pipeline import TrainedPipeline
from trainer.models.rankers.calibration import Calibration
from trainer.models.rankers.objectives import Objectives
from trainer.progress import Reporter
from trainer.protocols.next_like import next_like_task
from trainer.protocols.task import Task
from trainer.recipe import ObjectiveConfig, Recipe
from trainer.training.encoder import training as encoder_training
from trainer.training.encoder.fit import fit_encoder
from trainer.training.encoder.training import Validation
from trainer.training.log import TrainingLog
from trainer.training.ranker import retrieved_examples
from trainer.training.ranker.examples import RankerInputs
from trainer.training.ranker.fit import RankerFit, TrainedRanker
from trainer.training.ranker.retrieved_examples import RetrievedExamples
from trainer.training.ranker.training import RankerTraining
from trainer.training.two_stage import fit_retrieval, ranker_training, refit_two_stage

Weights = dict[str, Tensor]
FIGURES = (0.1, 0.4, 0.3, 0.2, 0.3, 0.9)
"""Of each epoch: the second is the best until the sixth, before which patience has an end."""
BEST = 2


class Measured:
    """The weights that each epoch was measured with."""

    def __init__(self) -> None:
        self.weights: list[Weights] = []
        self._figures: Iterator[float] = iter(FIGURES)

    def of(self, *modules: nn.Module) -> float:
        """The planned figure of the modules as they are now."""
        self.weights.append(weights_of(*modules))
        return next(self._figures)


def weights_of(*modules: nn.Module) -> Weights:
    """A copy of them."""
    states = [module.state_dict() for module in modules]
    return {f"{place}.{name}": copy.deepcopy(one) for place, state in enumerate(states) for name, one in state.items()}


def same(one: Weights, other: Weights) -> bool:
    """Equal to the bit."""
    assert one.keys() == other.keys()
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture
def encoders(monkeypatch: pytest.MonkeyPatch) -> Measured:
    """Encoders are measured as planned."""
    measured = Measured()

    def figures(validation: Validation, encoded: Encoded) -> dict[str, float]:
        return {validation.chosen_by: measured.of(encoded.encoder)}

    monkeypatch.setattr(Validation, "figures", figures)
    return measured


@pytest.fixture
def task(planted: Dataset, split: Split) -> Task:
    """Next like, which trains again on all known events."""
    return replace(next_like_task(planted, split), refit=True)


@pytest.mark.parametrize("name", ["two_tower", "autoencoder", "ials"])
def test_the_encoder_is_that_of_the_best_epoch(
    name: str, encoders: Measured, task: Task, recipe: Recipe, reporter: Reporter
) -> None:
    """Proves, for each way of learning in epochs, that the weights are those of the second epoch.

    Training ended after two more that were no better.
    """
    named = encoder_config(recipe.encoder, name, epochs=6, patience=2)
    trained = fit_encoder(task.dataset, task.learn_end, named, 0, reporter, Validation.of(task))
    assert [line["ndcg@10"] for line in trained.curve] == list(FIGURES[:4])
    assert trained.epochs == BEST
    assert [same(weights_of(trained.encoder), one) for one in encoders.weights] == [False, True, False, False]
    assert not trained.encoder.training


@pytest.mark.parametrize(("patience", "tried"), [(1, 3), (3, 5), (4, 6)])
def test_patience_is_how_many_epochs_may_be_no_better(
    patience: int, tried: int, encoders: Measured, task: Task, recipe: Recipe, reporter: Reporter
) -> None:
    """Proves the recipe's key: enough of it reaches an epoch that is the best after all."""
    named = encoder_config(recipe.encoder, "two_tower", epochs=6, patience=patience)
    trained = fit_encoder(task.dataset, task.learn_end, named, 0, reporter, Validation.of(task))
    assert len(trained.curve) == len(encoders.weights) == tried
    assert trained.epochs == (6 if tried == 6 else BEST)
    assert same(weights_of(trained.encoder), encoders.weights[trained.epochs - 1])


@pytest.mark.usefixtures("encoders")
def test_the_final_training_is_of_all_that_is_known(task: Task, recipe: Recipe, reporter: Reporter) -> None:
    """Proves that it learns from everything before the test, for as many epochs as were best.

    No other end and no other number of epochs gives these weights. The curve is that of the choice.
    """
    named = replace(recipe, encoder=encoder_config(recipe.encoder, "two_tower", epochs=6))
    found = fit_retrieval(task, named, 0, reporter)
    assert [line["ndcg@10"] for line in found.curve] == list(FIGURES[:4])

    def is_of(end: int, epochs: int) -> bool:
        anew = fit_encoder(task.dataset, end, named.encoder, 0, reporter, None, epochs)
        return same(weights_of(found.encoder), weights_of(anew.encoder))

    assert task.learn_end < task.known_end
    assert is_of(task.known_end, BEST)
    assert not is_of(task.learn_end, BEST)
    assert not is_of(task.known_end, BEST + 1)


@pytest.fixture
def rankers(monkeypatch: pytest.MonkeyPatch) -> Measured:
    """Rankers are measured as planned, their own numbers of items and users among the weights."""
    measured = Measured()

    def figures(fit: RankerFit, _: NDArray[np.int64]) -> dict[str, float]:
        trained = fit.trained()
        return {"ndcg@10": measured.of(trained.ranker, trained.id_embeddings)}

    monkeypatch.setattr(RankerFit, "figures", figures)
    return measured


@pytest.fixture
def training(
    fitted: TrainedPipeline, planted: Dataset, split: Split, recipe: Recipe, reporter: Reporter
) -> RankerTraining:
    """The training of a ranker with id embeddings, of at most six epochs."""
    short = replace(recipe.ranker, epochs=6, examples=100, candidates=5, history=1, embedding=3)
    return ranker_training(fitted.encoded, planted, split, replace(recipe, ranker=short), 0, reporter)


def with_likes(training: RankerTraining, likes: NDArray[np.bool_]) -> RetrievedExamples:
    """The examples with these likes ``[n]``, which are the only objective."""
    assert isinstance(training.examples, RetrievedExamples)
    objectives = Objectives.declared({"like": ObjectiveConfig()})
    return replace(training.examples, likes=likes, objectives=objectives, targets=likes[:, None].astype(np.float32))


class Lines(Reporter):
    """Keeps the lines."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def say(self, text: str) -> None:
        """See :class:`Reporter`."""
        self.said.append(text)


def learnt(trained: TrainedRanker) -> Weights:
    """The weights without the scale of the logits, which calibration sets."""
    weights = weights_of(trained.ranker, trained.id_embeddings)
    return {name: one for name, one in weights.items() if name not in {"0.scale_G", "0.shift_G"}}


def test_the_ranker_is_that_of_the_best_epoch(training: RankerTraining, rankers: Measured, reporter: Reporter) -> None:
    """Proves, with examples given to decide, that the weights are those of the second epoch.

    The run ended after two more that were no better.
    """
    late = training.late
    given = RankerTraining(training.examples, training.recipe, 0, deciding=late)
    found = learnt(given.run(reporter))
    assert len(given.curve) == len(rankers.weights) == 4
    measured = [{name: weights[name] for name in found} for weights in rankers.weights]
    assert [same(found, one) for one in measured] == [False, True, False, False]


@pytest.mark.usefixtures("rankers")
def test_the_ranker_learns_anew_for_as_many_epochs_from_all(training: RankerTraining, reporter: Reporter) -> None:
    """Proves, with the latest examples deciding, that training then uses them too, for as many epochs as were best.

    No other number of epochs gives these weights.
    """
    found = learnt(training.run(reporter))

    def is_of(places: NDArray[np.int64], epochs: int) -> bool:
        fit = training.fit(places)
        for _ in range(epochs):
            fit.epoch(reporter, "")
        return same(found, learnt(fit.trained()))

    everything = np.concatenate([training.early, training.late])
    assert is_of(everything, BEST)
    assert not is_of(training.early, BEST)
    assert not is_of(everything, BEST + 1)


def test_the_training_for_serving_takes_the_epochs_that_were_found(
    planted: Dataset, split: Split, recipe: Recipe, encoders: Measured, rankers: Measured
) -> None:
    """Proves that it chooses no epoch again: it measures nothing, and has the epochs and the calibration of the log."""
    ranker = replace(recipe.ranker, epochs=6, examples=100, candidates=5, history=1, embedding=3)
    encoder = encoder_config(recipe.encoder, "two_tower", epochs=6)
    calibration = Calibration(slope=2.0, shift=-1.0, error_before=0.2, error_after=0.1)
    lines = tuple({"loss": 1.0, "ndcg@10": figure} for figure in FIGURES[:4])
    log = TrainingLog(encoder=lines[:1], ranker=lines, calibrations={"like": calibration})
    named = replace(recipe, ranker=ranker, encoder=encoder)
    reporter = Lines()
    ranker_of_all = refit_two_stage(planted, split, named, 0, reporter, log).ranker
    assert encoders.weights == rankers.weights == []
    assert [line.partition("  ")[0] for line in reporter.said if " epoch" in line] == [
        "encoder epoch 1/1",
        f"ranker: best after {BEST} epochs; training on the whole slice",
    ]
    place = [one.name for one in ranker_of_all.spec.objectives].index("like")
    assert (ranker_of_all.scale_G[place].item(), ranker_of_all.shift_G[place].item()) == (2.0, -1.0)


def test_an_epoch_of_many_lists_takes_a_part_with_the_likes(
    training: RankerTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves the cap: so many lists, each once, likes up to half of them, and others in the next epoch."""
    everything, liked = np.arange(len(training.examples.inputs)), np.arange(0, 100, 5)
    examples = with_likes(training, np.isin(everything, liked))
    most = 2 * len(liked)
    monkeypatch.setattr(retrieved_examples, "_LISTS_AN_EPOCH", most)
    capped = RankerTraining(examples, training.recipe, 0).fit(everything)
    first, second = (np.concatenate(capped.batches()) for _ in range(2))
    assert len(first) == len(np.unique(first)) == most < len(everything)
    assert np.isin(liked, first).all()
    assert set(first.tolist()) != set(second.tolist())


def test_likes_are_preferred_only_where_no_objective_learns_another_share(training: RankerTraining) -> None:
    """Proves that a cap draws all events alike with an objective of values, or of events that are likes in part.

    A value's loss is a mean over all lists: with the likes preferred, its predictions would be those of likes.
    """
    everything = np.arange(len(training.examples.inputs))
    some = everything % 5 == 0
    alone = with_likes(training, some)
    others = replace(alone, objectives=Objectives.declared({"like": ObjectiveConfig(), "view": ObjectiveConfig()}))
    apart = replace(others, targets=np.stack([some, ~some], axis=1).astype(np.float32))
    mixed = replace(others, targets=np.stack([some, np.ones_like(some)], axis=1).astype(np.float32))
    assert isinstance(training.examples, RetrievedExamples)
    values = replace(training.examples, likes=some)
    assert any(one.is_value for one in values.objectives)
    np.testing.assert_array_equal(alone.preferred(everything), some)
    np.testing.assert_array_equal(apart.preferred(everything), some)
    assert not mixed.preferred(everything).any()
    assert not values.preferred(everything).any()


def test_a_validation_of_many_lists_ranks_the_same_part_in_each_epoch(
    training: RankerTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves the cap of lists, that their figure stands for all of them, and that the log says it."""
    monkeypatch.setattr(retrieved_examples, "_MOST_JUDGED", 4)
    examples = with_likes(training, np.arange(len(training.examples.inputs)) % 2 == 0)
    reporter, ranked = Lines(), list[NDArray[np.int64]]()
    short = RankerTraining(examples, replace(training.recipe, epochs=2), 0)
    predict = TrainedRanker.predict

    def watched(trained: TrainedRanker, inputs: RankerInputs, places: NDArray[np.int64]) -> NDArray[np.float32]:
        ranked.append(places)
        return predict(trained, inputs, places)

    monkeypatch.setattr(TrainedRanker, "predict", watched)
    short.run(reporter)
    liked = short.late[examples.likes[short.late]]
    assert len(liked) > len(ranked[0]) == len(np.unique(ranked[0])) == 4
    assert np.isin(ranked[0], liked).all()
    np.testing.assert_array_equal(ranked[0], ranked[1])
    assert f"ranker: 4 of {len(short.late)} later lists choose the epoch" in reporter.said
    # Each chosen candidate is first.
    first = examples.figures(lambda places: examples.chosen[places][:, None, None] == np.arange(5)[:, None], short.late)
    assert first["ndcg@10"] == pytest.approx(len(liked) / examples.likes[short.late[0] :].sum())


def test_a_validation_of_many_questions_asks_the_same_part_in_each_epoch(
    task: Task, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves the cap of the encoder's questions, and that the log says it."""
    monkeypatch.setattr(encoder_training, "_MOST_QUESTIONS", 7)
    validation, reporter = Validation.of(task), Lines()
    judged = [validation.judged.users.tolist() for _ in range(2)]
    assert judged[0] == judged[1]
    assert len(judged[0]) == 7 < len(task.validation)
    fit_encoder(task.dataset, task.learn_end, encoder_config(recipe.encoder, "ials", epochs=1), 0, reporter, validation)
    assert reporter.said[-2] == f"encoder: 7 of {len(task.validation):,} validation questions choose the epoch"
