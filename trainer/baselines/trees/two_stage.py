"""Boosted trees in the place of the second stage."""

from dataclasses import replace

from trainer.baselines.trees.lists import fit_lists
from trainer.data import Dataset
from trainer.data.split import Split
from trainer.models.pipeline import TrainedPipeline
from trainer.models.rankers.id_embeddings import IdEmbeddingLayer
from trainer.progress import Reporter
from trainer.training.ranker.fit import TrainedRanker
from trainer.training.two_stage import pipeline_of, ranker_training


def fit_trees(model: TrainedPipeline, dataset: Dataset, split: Split, seed: int, reporter: Reporter) -> TrainedPipeline:
    """The pipeline with boosted trees in the ranker's place, on the same candidates.

    It needs the extra ``baselines``.
    """
    # Trees learn no id embeddings.
    recipe = replace(model.recipe, ranker=replace(model.recipe.ranker, embedding=0))
    training = ranker_training(model.encoded, dataset, split, recipe, seed, reporter)
    none = IdEmbeddingLayer(len(dataset.item_ids), len(dataset.user_ids), 0)
    trees = TrainedRanker(ranker=fit_lists(training, reporter), id_embeddings=none)
    return pipeline_of(model.encoded, training, trees, dataset, split, recipe, reporter)
