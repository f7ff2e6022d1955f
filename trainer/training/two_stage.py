"""Both stages, one after the other."""

from dataclasses import replace

import numpy as np

from shortlist.bundle.tables import ItemTables
from trainer.data import Dataset
from trainer.data.split import Split, subsample
from trainer.errors import DataError, RecipeError
from trainer.features.click_rates import ClickRates, click_rates_before
from trainer.features.statistics import item_tables
from trainer.models.encoders.encoded import Encoded
from trainer.models.pipeline import TrainedPipeline
from trainer.models.rankers import Ranker
from trainer.models.rankers.id_embeddings import IdEmbeddings
from trainer.models.rankers.objectives import objectives_of, scales_of, served_objectives
from trainer.progress import Reporter
from trainer.protocols import Task
from trainer.protocols.next_like import CHOSEN_BY, METRICS, validation
from trainer.recipe import Recipe
from trainer.training.encoder.fit import fit_encoder
from trainer.training.encoder.training import Trained, Validation
from trainer.training.log import TrainingLog
from trainer.training.ranker.impressions import Shown
from trainer.training.ranker.retrieved_examples import RetrievedExamples
from trainer.training.ranker.training import RankerTraining, ranker_data_spec, with_id_embeddings


def fit_two_stage(
    dataset: Dataset,
    split: Split,
    recipe: Recipe,
    seed: int,
    reporter: Reporter,
    decides: Validation | None = None,
) -> tuple[TrainedPipeline, TrainingLog]:
    """The encoder from the first slice, the ranker from the encoder's candidates on the second.

    What ``decides`` for the encoder is of the second slice, likes of it unless told.

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


def fit_ranker(
    encoded: Encoded, dataset: Dataset, split: Split, recipe: Recipe, seed: int, reporter: Reporter
) -> tuple[TrainedPipeline, TrainingLog]:
    """The ranker of an encoder that knows nothing of the second slice, and both of them.

    While the ranker learns, the counted tables end where its slice begins; what is returned has them up to the slice's
    end, as a served bundle has them up to the moment of training.
    """
    training = ranker_training(encoded, dataset, split, recipe, seed, reporter)
    ranker = training.run(reporter)
    model = both_stages(training, ranker.ranker, ranker.id_embeddings, encoded, dataset, split, recipe, reporter)
    return model, TrainingLog.of_ranker(training)


def both_stages(
    training: RankerTraining,
    ranker: Ranker,
    id_embeddings: IdEmbeddings,
    encoded: Encoded,
    dataset: Dataset,
    split: Split,
    recipe: Recipe,
    reporter: Reporter,
) -> TrainedPipeline:
    """An encoder and a ranker that was trained behind it, over tables as of the end of the ranker's slice."""
    before = training.items
    click_rates = click_rates_before(dataset, dataset.time_of(split.ranker_end))
    after = _tables(dataset, split.ranker_end, recipe, encoded, reporter, click_rates)
    # The scale of the values is what the ranker has learnt with.
    after = replace(after, value_mean=before.value_mean, value_std=before.value_std)
    return TrainedPipeline(
        recipe=recipe,
        encoded=encoded,
        items=with_id_embeddings(after, id_embeddings),
        ranker=ranker,
        id_embeddings=id_embeddings,
        click_rates=click_rates,
        objectives=served_objectives(training.objectives),
        context=training.examples.inputs.context_columns,
    )


def _tables(
    dataset: Dataset,
    end: int,
    recipe: Recipe,
    encoded: Encoded,
    reporter: Reporter,
    click_rates: ClickRates | None = None,
) -> ItemTables:
    reporter.say(f"counting which of {len(dataset.item_ids):,} items go together")
    return item_tables(dataset, end, recipe.statistics, encoded.vectors, encoded.inputs, click_rates)


def ranker_training(
    encoded: Encoded, dataset: Dataset, split: Split, recipe: Recipe, seed: int, reporter: Reporter
) -> RankerTraining:
    """A run over what was shown in the second slice, or where nobody logged it, over what the encoder retrieves for
    its events.

    Raises:
        DataError: there are impressions, and none in the slice.
    """
    if dataset.impressions is not None:
        rows = dataset.impressions.between(dataset.time_of(split.encoder_end), dataset.time_of(split.ranker_end))
        if not len(rows):
            raise DataError("no impression is in the slice of the ranker; [split] ranker says how long that is")
        rows = subsample(rows, recipe.ranker.examples)
        reporter.say(f"{len(rows):,} impressions of the ranker's slice")
        return Shown(dataset=dataset, recipe=recipe, encoded=encoded, learn=rows).training(rows[:0], seed)
    before = _tables(dataset, split.encoder_end, recipe, encoded, reporter)
    events = np.arange(split.encoder_end, split.ranker_end)
    events = subsample(events[dataset.position[events] >= 1], recipe.ranker.examples)
    reporter.say(f"retrieving {recipe.ranker.candidates} candidates for {len(events):,} events of the ranker's slice")
    objectives = objectives_of(recipe, dataset)
    examples = RetrievedExamples.of(dataset, encoded, before, events, recipe.ranker.candidates, objectives)
    spec = ranker_data_spec(dataset, before, scales_of(objectives, examples.targets), {}, recipe.ranker.embedding)
    return RankerTraining(examples, before, len(dataset.user_ids), spec, objectives, recipe.ranker, seed)


def fit_retrieval(task: Task, recipe: Recipe, seed: int, reporter: Reporter) -> Trained:
    """The encoder of a task, chosen on its validation, and where the task says so trained anew on all that is known."""
    trained = fit_encoder(task.dataset, task.learn_end, recipe.encoder, seed, reporter, Validation.of(task))
    if not task.refit:
        return trained
    reporter.say(f"encoder: best after {trained.epochs} epochs; training on all that is known")
    final = fit_encoder(task.dataset, task.known_end, recipe.encoder, seed, reporter, None, trained.epochs)
    return replace(final, curve=trained.curve)
