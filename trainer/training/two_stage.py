"""Both stages, one after the other: encoder, candidates, ranker, pipeline."""

from dataclasses import replace

import numpy as np

from shortlist.bundle.tables import ItemTables
from trainer.data import Dataset
from trainer.data.split import Split, subsample
from trainer.errors import DataError, RecipeError
from trainer.features.click_rates import ClickRates, click_rates_before
from trainer.features.layout import with_id_embeddings
from trainer.features.statistics import item_tables
from trainer.models.encoders.encoded import Encoded
from trainer.models.late_items import with_late_items
from trainer.models.pipeline import TrainedPipeline
from trainer.models.rankers.objectives import Objectives
from trainer.progress import Reporter
from trainer.protocols.next_like import CHOSEN_BY, METRICS, validation
from trainer.protocols.task import Task
from trainer.recipe import Recipe
from trainer.training.encoder.fit import fit_encoder
from trainer.training.encoder.training import Trained, Validation
from trainer.training.log import TrainingLog
from trainer.training.ranker.fit import TrainedRanker
from trainer.training.ranker.impressions import RankerImpressions
from trainer.training.ranker.retrieved_examples import RetrievedExamples
from trainer.training.ranker.training import FoundRanker, RankerTraining

_MANY_LATE = 0.01


def fit_two_stage(
    dataset: Dataset,
    split: Split,
    recipe: Recipe,
    seed: int,
    reporter: Reporter,
    decides: Validation | None = None,
) -> tuple[TrainedPipeline, TrainingLog]:
    """The encoder from the first slice, the ranker from the encoder's candidates on the second.

    ``decides`` is the encoder's validation on the second slice; by default, likes of that slice.

    Raises:
        DataError: there are impressions, and none in the second slice.
        RecipeError: there are impressions, and nothing says when they were shown.
    """
    if dataset.impressions is not None and recipe.interactions.rows_in_order:
        raise RecipeError(
            "[interactions] rows_in_order: without times nothing says which impressions are of the ranker's slice, so "
            "that both stages cannot be trained; give interactions and impressions a column of times, or measure the "
            "ranker by itself with `evaluate --protocol impressions`, where [split] column says what is the test"
        )
    decides = decides or Validation(
        queries=validation(dataset, split), metrics=METRICS, chosen_by=CHOSEN_BY, end=split.encoder_end
    )
    trained = fit_encoder(dataset, split.encoder_end, recipe.encoder, seed, reporter, decides)
    encoded = Encoded.of(trained.encoder, recipe.encoder.history)
    model, log = fit_ranker(encoded, dataset, split, recipe, seed, reporter)
    return model, replace(log, encoder=trained.curve)


def refit_two_stage(
    dataset: Dataset, split: Split, recipe: Recipe, seed: int, reporter: Reporter, found: TrainingLog
) -> TrainedPipeline:
    """Both stages on another split of the data, for as many epochs and with the calibrations that a run has found.

    Nothing is held out to choose an epoch again, so that it takes less than half as long as :func:`fit_two_stage`.
    """
    trained = fit_encoder(
        dataset, split.encoder_end, recipe.encoder, seed, reporter, None, found.encoder_epochs or None
    )
    encoded = Encoded.of(trained.encoder, recipe.encoder.history)
    return fit_ranker(encoded, dataset, split, recipe, seed, reporter, found.found_ranker)[0]


def fit_ranker(
    encoded: Encoded,
    dataset: Dataset,
    split: Split,
    recipe: Recipe,
    seed: int,
    reporter: Reporter,
    found: FoundRanker | None = None,
) -> tuple[TrainedPipeline, TrainingLog]:
    """A ranker behind an encoder that did not learn from the second slice, and the pipeline of both.

    With the outcome ``found`` by an earlier run, no epoch is chosen; see :meth:`RankerTraining.run`.
    """
    training = ranker_training(encoded, dataset, split, recipe, seed, reporter)
    ranker = training.run(reporter, found)
    return pipeline_of(encoded, training, ranker, dataset, split, recipe, reporter), TrainingLog.of_ranker(training)


def ranker_training(
    encoded: Encoded, dataset: Dataset, split: Split, recipe: Recipe, seed: int, reporter: Reporter
) -> RankerTraining:
    """A run over the impressions of the second slice, or without any, over retrieved candidates for its events.

    Its item tables count up to the beginning of the slice.

    Raises:
        DataError: there are impressions, and none in the slice.
    """
    if dataset.impressions is not None:
        rows = dataset.impressions.between(dataset.time_of(split.encoder_end), dataset.time_of(split.ranker_end))
        if not len(rows):
            raise DataError("no impression is in the slice of the ranker; [split] ranker says how long that is")
        rows = subsample(rows, recipe.ranker.examples)
        reporter.say(f"{len(rows):,} impressions of the ranker's slice")
        impressions = RankerImpressions(dataset=dataset, recipe=recipe, encoded=encoded, learn=rows)
        return impressions.training(rows[:0], seed)
    items = _item_tables(encoded, dataset, split.encoder_end, recipe, reporter)
    events = np.arange(split.encoder_end, split.ranker_end)
    answerable = (dataset.position[events] >= 1) & dataset.listed[dataset.item_rows[events]]
    events = subsample(events[answerable], recipe.ranker.examples)
    reporter.say(f"retrieving {recipe.ranker.candidates} candidates for {len(events):,} events of the ranker's slice")
    objectives = Objectives.of(recipe, dataset)
    objectives = objectives.scaled_to_events(objectives.targets(dataset, events))
    examples = RetrievedExamples.of(dataset, encoded, items, events, objectives, recipe.ranker, reporter)
    return RankerTraining(examples, recipe.ranker, seed)


def pipeline_of(
    encoded: Encoded,
    training: RankerTraining,
    trained: TrainedRanker,
    dataset: Dataset,
    split: Split,
    recipe: Recipe,
    reporter: Reporter,
) -> TrainedPipeline:
    """An encoder and a trained ranker, with item tables that count up to the end of the ranker's slice.

    A served bundle likewise counts up to the time of training. Items that the encoder has not seen, with events in the
    ranker's slice, get vectors from their users.
    """
    encoded, late = with_late_items(encoded, dataset, split.ranker_end)
    if late > _MANY_LATE * len(dataset.item_ids):
        reporter.warn(
            f"{late:,} of {len(dataset.item_ids):,} items first appear in the ranker's slice: their vectors are the "
            "mean of their users', not learnt. A shorter slice, [split] ranker, leaves fewer of them"
        )
    click_rates = click_rates_before(dataset, dataset.time_of(split.ranker_end))
    items = _item_tables(encoded, dataset, split.ranker_end, recipe, reporter, click_rates)
    id_embeddings = trained.id_embeddings.tables()
    return TrainedPipeline(
        recipe=recipe,
        encoded=encoded,
        items=replace(
            items,
            features=with_id_embeddings(items.features, id_embeddings.items),
            # The ranker has learnt with this scale of the values.
            value_mean=training.spec.value_mean,
            value_std=training.spec.value_std,
        ),
        ranker=trained.ranker,
        id_embeddings=id_embeddings,
        click_rates=click_rates,
        seen_events=dataset.seen_events,
        late_items=late,
    )


def _item_tables(
    encoded: Encoded,
    dataset: Dataset,
    end: int,
    recipe: Recipe,
    reporter: Reporter,
    click_rates: ClickRates | None = None,
) -> ItemTables:
    reporter.say(f"counting which of {len(dataset.item_ids):,} items go together")
    return item_tables(dataset, end, recipe.statistics, encoded.vectors, encoded.inputs, click_rates)


def fit_retrieval(task: Task, recipe: Recipe, seed: int, reporter: Reporter) -> Trained:
    """The encoder of a task, chosen on its validation; with ``refit`` trained again on all known events."""
    trained = fit_encoder(task.dataset, task.learn_end, recipe.encoder, seed, reporter, Validation.of(task))
    if not task.refit:
        return trained
    reporter.say(f"encoder: best after {trained.epochs} epochs; training on all that is known")
    final = fit_encoder(task.dataset, task.known_end, recipe.encoder, seed, reporter, None, trained.epochs)
    return replace(final, curve=trained.curve)
