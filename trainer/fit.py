"""Both stages, one after the other."""

from dataclasses import replace

import numpy as np

from trainer.baselines import BASELINES, MAX_DENSE_ITEMS
from trainer.data import Dataset
from trainer.encode import Encoded
from trainer.evaluation import places_of_targets
from trainer.fit_encoder import EncoderTraining
from trainer.fit_ranker import RankerTraining, RankingExamples, ranker_sizes
from trainer.metrics import report
from trainer.progress import Reporter
from trainer.recipe import Recipe
from trainer.split import Split, evenly, held_out_events
from trainer.statistics import item_tables
from trainer.two_stage import TwoStage, places_of_both

Figures = dict[str, dict[str, float]]


def fit_two_stage(dataset: Dataset, split: Split, recipe: Recipe, seed: int, reporter: Reporter) -> TwoStage:
    """The encoder from the first slice, the ranker from the encoder's candidates on the second.

    While the ranker learns, the counted tables end where its slice begins; what is returned has them up to the slice's
    end, as a served bundle has them up to the moment of training.
    """
    encoder = EncoderTraining(dataset, split, recipe.encoder, seed).run(reporter)
    encoded = Encoded.of(encoder, recipe.encoder.history)
    before = item_tables(dataset, split.encoder_end, recipe.statistics, encoded.vectors)
    events = np.arange(split.encoder_end, split.ranker_end)
    events = evenly(events[dataset.position[events] >= 1], recipe.ranker.examples)
    reporter.say(f"retrieving {recipe.ranker.candidates} candidates for {len(events):,} events of the ranker's slice")
    examples = RankingExamples.of(dataset, encoded, before, events, recipe.ranker.candidates)
    sizes = ranker_sizes(dataset, before)
    ranker = RankerTraining(examples, before, sizes, recipe.ranker, seed).run(reporter)
    after = item_tables(dataset, split.ranker_end, recipe.statistics, encoded.vectors)
    # The scale of the values is what the ranker has learnt with.
    after = replace(after, value_mean=before.value_mean, value_std=before.value_std)
    return TwoStage(recipe=recipe, encoded=encoded, items=after, ranker=ranker)


def evaluate_two_stage(model: TwoStage, dataset: Dataset, split: Split) -> Figures:
    """The figures of both stages on the test's events."""
    after_retrieval, after_ranking = places_of_both(model, dataset, held_out_events(dataset, split))
    return {"retrieval": report(after_retrieval), "two_stage": report(after_ranking)}


def evaluate_baselines(dataset: Dataset, split: Split) -> Figures:
    """The figures of the baselines on the same events; they learn from everything before the test."""
    events = held_out_events(dataset, split)
    chosen = BASELINES if len(dataset.item_ids) <= MAX_DENSE_ITEMS else {"popularity": BASELINES["popularity"]}
    return {
        name: report(places_of_targets(dataset, events, fit(dataset, split.ranker_end))) for name, fit in chosen.items()
    }
