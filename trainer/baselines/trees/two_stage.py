"""Boosted trees in the place of the second stage."""

from dataclasses import replace

from trainer.baselines.trees.lists import fit_lists
from trainer.data import Dataset
from trainer.data.split import Split
from trainer.models.pipeline import TrainedPipeline
from trainer.models.rankers.id_embeddings import IdEmbeddings
from trainer.models.rankers.objectives import served_objectives
from trainer.progress import Reporter
from trainer.recipe import LIKE, ObjectiveConfig
from trainer.training.two_stage import both_stages, ranker_training


def fit_trees(model: TrainedPipeline, dataset: Dataset, split: Split, seed: int, reporter: Reporter) -> TrainedPipeline:
    """The same with boosted trees in the ranker's place, given the same candidates; the extra `baselines` has what it
    needs."""
    # Trees do not learn numbers of each item and user.
    recipe = replace(model.recipe, ranker=replace(model.recipe.ranker, embedding=0))
    training = ranker_training(model.encoded, dataset, split, recipe, seed, reporter)
    none = IdEmbeddings.none(len(dataset.item_ids), len(dataset.user_ids))
    both = both_stages(training, fit_lists(training, reporter), none, model.encoded, dataset, split, recipe, reporter)
    return replace(both, objectives=served_objectives({LIKE: ObjectiveConfig()}))
