"""Both stages, one after the other."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from shortlist.bundle.tables import ItemTables
from trainer.attribution import Attribution, attribute
from trainer.attribution.chain import DEPTH as RETRIEVED
from trainer.data import Dataset
from trainer.encode import Encoded
from trainer.errors import DataError, RecipeError
from trainer.evaluation.baselines import baselines_for
from trainer.evaluation.metrics import Rankings, depth_of, figures
from trainer.evaluation.rankings import Scorer, rankings
from trainer.evaluation.split import Split, evenly
from trainer.goals import goals_of, scales_of, served_goals
from trainer.progress import Reporter
from trainer.protocols import Task
from trainer.protocols.next_like import CHOSEN_BY, METRICS, validation
from trainer.rankers import Ranker
from trainer.rankers.own import OwnTables
from trainer.rates import Rates, rates_before
from trainer.recipe import LIKE, Goal, Recipe
from trainer.statistics import item_tables
from trainer.training.encoder import Trained, Validation
from trainer.training.fit_encoder import fit_encoder
from trainer.training.ranker import RankerTraining, ranker_sizes, with_own
from trainer.training.retrieved_examples import RetrievedExamples
from trainer.training.shown import Shown
from trainer.two_stage import TwoStage

Figures = dict[str, dict[str, float]]
Lists = dict[str, Rankings]
# As far down as a report looks.
_DEPTH = 200


def fit_two_stage(
    dataset: Dataset,
    split: Split,
    recipe: Recipe,
    seed: int,
    reporter: Reporter,
    decides: Validation | None = None,
) -> TwoStage:
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
    model = fit_ranker(encoded, dataset, split, recipe, seed, reporter)
    return replace(model, log=replace(model.log, encoder=trained.curve))


def fit_ranker(
    encoded: Encoded, dataset: Dataset, split: Split, recipe: Recipe, seed: int, reporter: Reporter
) -> TwoStage:
    """The ranker of an encoder that knows nothing of the second slice, and both of them.

    While the ranker learns, the counted tables end where its slice begins; what is returned has them up to the slice's
    end, as a served bundle has them up to the moment of training.
    """
    training = ranker_training(encoded, dataset, split, recipe, seed, reporter)
    ranker = training.run(reporter)
    return _both_stages(training, ranker.ranker, ranker.own, encoded, dataset, split, recipe, reporter)


def fit_trees(model: TwoStage, dataset: Dataset, split: Split, seed: int, reporter: Reporter) -> TwoStage:
    """The same with boosted trees in the ranker's place, given the same candidates; the extra `baselines` has what it
    needs."""
    from trainer.boosting.lists import fit_lists

    # Trees do not learn numbers of each item and user.
    recipe = replace(model.recipe, ranker=replace(model.recipe.ranker, embedding=0))
    training = ranker_training(model.encoded, dataset, split, recipe, seed, reporter)
    none = OwnTables.none(len(dataset.item_ids), len(dataset.user_ids))
    both = _both_stages(training, fit_lists(training, reporter), none, model.encoded, dataset, split, recipe, reporter)
    return replace(both, goals=served_goals({LIKE: Goal()}))


def _both_stages(
    training: RankerTraining,
    ranker: Ranker,
    own: OwnTables,
    encoded: Encoded,
    dataset: Dataset,
    split: Split,
    recipe: Recipe,
    reporter: Reporter,
) -> TwoStage:
    before = training.items
    rates = rates_before(dataset, dataset.time_of(split.ranker_end))
    after = _tables(dataset, split.ranker_end, recipe, encoded, reporter, rates)
    # The scale of the values is what the ranker has learnt with.
    after = replace(after, value_mean=before.value_mean, value_std=before.value_std)
    return TwoStage(
        recipe=recipe,
        encoded=encoded,
        items=with_own(after, own),
        ranker=ranker,
        own=own,
        rates=rates,
        goals=served_goals(training.goals),
        context=training.examples.inputs.context_columns,
        log=training.log,
    )


def _tables(
    dataset: Dataset, end: int, recipe: Recipe, encoded: Encoded, reporter: Reporter, rates: Rates | None = None
) -> ItemTables:
    reporter.say(f"counting which of {len(dataset.item_ids):,} items go together")
    return item_tables(dataset, end, recipe.statistics, encoded.vectors, encoded.inputs, rates)


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
        rows = evenly(rows, recipe.ranker.examples)
        reporter.say(f"{len(rows):,} impressions of the ranker's slice")
        return Shown(dataset=dataset, recipe=recipe, encoded=encoded, learn=rows).training(rows[:0], seed)
    before = _tables(dataset, split.encoder_end, recipe, encoded, reporter)
    events = np.arange(split.encoder_end, split.ranker_end)
    events = evenly(events[dataset.position[events] >= 1], recipe.ranker.examples)
    reporter.say(f"retrieving {recipe.ranker.candidates} candidates for {len(events):,} events of the ranker's slice")
    goals = goals_of(recipe, dataset)
    examples = RetrievedExamples.of(dataset, encoded, before, events, recipe.ranker.candidates, goals)
    sizes = ranker_sizes(dataset, before, scales_of(goals, examples.targets), {}, recipe.ranker.embedding)
    return RankerTraining(examples, before, len(dataset.user_ids), sizes, goals, recipe.ranker, seed)


def evaluate_two_stage(model: TwoStage, task: Task) -> Figures:
    """The test's figures of both stages."""
    return figures_of(two_stage_lists(model, task), task.metrics)


def two_stage_lists(model: TwoStage, task: Task) -> Lists:
    """The answers to the test of stage one alone, and of both together."""
    return {
        "retrieval": lists_of_test(model.encoded.scores, task),
        "two_stage": lists_of_test(model.scores, task),
    }


def measure_two_stage(model: TwoStage, task: Task, reporter: Reporter) -> tuple[Lists, Attribution]:
    """Those lists, and what each stage has to do with them; of a model that was just trained."""
    retrieved = rankings(model.encoded.scores, task.test, RETRIEVED, task.known_end)
    ranked = lists_of_test(model.scores, task)
    lists = {"retrieval": retrieved.first(ranked.hits.shape[1]), "two_stage": ranked}
    return lists, attribute(model, task, retrieved, ranked, reporter)


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
    return figures(lists_of_test(Encoded.of(trained.encoder, recipe.encoder.history).scores, task), task.metrics)


def evaluate_baselines(task: Task) -> Figures:
    """The test's figures of the baselines."""
    return figures_of(baseline_lists(task), task.metrics)


def baseline_lists(task: Task) -> Lists:
    """The baselines' answers to the test; they learn from all that is known before it."""
    chosen = baselines_for(task.dataset)
    return {name: lists_of_test(fit(task.dataset, task.known_end), task) for name, fit in chosen.items()}


def lists_of_test(scorer: Scorer, task: Task) -> Rankings:
    """The answers to the test of whatever scores items."""
    return rankings(scorer, task.test, max(_DEPTH, depth_of(task.metrics)), task.known_end)


def figures_of(lists: Lists, metrics: Sequence[str]) -> Figures:
    """The metrics of each model's lists."""
    return {name: figures(one, metrics) for name, one in lists.items()}
