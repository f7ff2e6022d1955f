"""Both stages, one after the other."""

from dataclasses import replace

import numpy as np

from trainer.baselines import BASELINES, MAX_DENSE_ITEMS
from trainer.data import Dataset
from trainer.encode import Encoded
from trainer.encoder_training import Trained, Validation
from trainer.evaluation import rankings
from trainer.fit_encoder import fit_encoder
from trainer.fit_ranker import RankerTraining, RankingExamples, ranker_sizes
from trainer.metrics import depth_of, figures, report
from trainer.progress import Reporter
from trainer.protocols import Task
from trainer.protocols.next_like import next_like_task
from trainer.recipe import Recipe
from trainer.split import Split, evenly, held_out_events
from trainer.statistics import item_tables
from trainer.training_log import TrainingLog
from trainer.two_stage import TwoStage, places_of_both

Figures = dict[str, dict[str, float]]


def fit_two_stage(dataset: Dataset, split: Split, recipe: Recipe, seed: int, reporter: Reporter) -> TwoStage:
    """The encoder from the first slice, the ranker from the encoder's candidates on the second.

    While the ranker learns, the counted tables end where its slice begins; what is returned has them up to the slice's
    end, as a served bundle has them up to the moment of training.
    """
    decides = Validation.of(next_like_task(dataset, split))
    trained = fit_encoder(dataset, split.encoder_end, recipe.encoder, seed, reporter, decides)
    encoded = Encoded.of(trained.encoder, recipe.encoder.history)
    before = item_tables(dataset, split.encoder_end, recipe.statistics, encoded.vectors, encoded.inputs)
    events = np.arange(split.encoder_end, split.ranker_end)
    events = evenly(events[dataset.position[events] >= 1], recipe.ranker.examples)
    reporter.say(f"retrieving {recipe.ranker.candidates} candidates for {len(events):,} events of the ranker's slice")
    examples = RankingExamples.of(dataset, encoded, before, events, recipe.ranker.candidates)
    sizes = ranker_sizes(dataset, before)
    training = RankerTraining(examples, before, sizes, recipe.ranker, seed)
    ranker = training.run(reporter)
    after = item_tables(dataset, split.ranker_end, recipe.statistics, encoded.vectors, encoded.inputs)
    # The scale of the values is what the ranker has learnt with.
    after = replace(after, value_mean=before.value_mean, value_std=before.value_std)
    log = TrainingLog(encoder=trained.curve, ranker=tuple(training.curve))
    return TwoStage(recipe=recipe, encoded=encoded, items=after, ranker=ranker, log=log)


def evaluate_two_stage(model: TwoStage, dataset: Dataset, split: Split) -> Figures:
    """The figures of both stages on the test's events."""
    after_retrieval, after_ranking = places_of_both(model, dataset, held_out_events(dataset, split))
    return {"retrieval": report(after_retrieval), "two_stage": report(after_ranking)}


def fit_retrieval(task: Task, recipe: Recipe, seed: int, reporter: Reporter) -> Trained:
    """The encoder of a task, chosen on its validation, and where the task says so trained anew on all that is known."""
    trained = fit_encoder(task.dataset, task.learn_end, recipe.encoder, seed, reporter, Validation.of(task))
    if not task.refit:
        return trained
    reporter.say(f"encoder: best after {trained.epochs} epochs; training on all that is known")
    final = fit_encoder(task.dataset, task.known_end, recipe.encoder, seed, reporter, None, trained.epochs)
    return replace(final, curve=trained.curve)


def evaluate_retrieval(trained: Trained, task: Task, recipe: Recipe) -> dict[str, float]:
    """The test's figures of an encoder."""
    encoded = Encoded.of(trained.encoder, recipe.encoder.history)
    return figures(rankings(encoded.scores, task.test, depth_of(task.metrics), task.known_end), task.metrics)


def evaluate_baselines(task: Task) -> Figures:
    """The test's figures of the baselines; they learn from all that is known before the test."""
    items = len(task.dataset.item_ids)
    chosen = BASELINES if items <= MAX_DENSE_ITEMS else {"popularity": BASELINES["popularity"]}
    found = {}
    for name, fit in chosen.items():
        lists = rankings(fit(task.dataset, task.known_end), task.test, depth_of(task.metrics), task.known_end)
        found[name] = figures(lists, task.metrics)
    return found
