"""A pipeline of a trained encoder and a ranker as it begins, for benchmarks that need no good ranking."""

from trainer.data import Dataset
from trainer.features.click_rates import ClickRates
from trainer.features.layout import FeatureLayout
from trainer.features.statistics import item_tables
from trainer.models.encoders.encoded import Encoded
from trainer.models.pipeline import TrainedPipeline
from trainer.models.rankers import RankerDataSpec
from trainer.models.rankers.id_embeddings import IdEmbeddingLayer
from trainer.models.rankers.objectives import Objectives
from trainer.models.registry import build_ranker
from trainer.recipe import Recipe


def with_untrained_ranker(encoded: Encoded, dataset: Dataset, recipe: Recipe) -> TrainedPipeline:
    """Both stages over all events of the data set, without id embeddings of the ranker."""
    items = item_tables(dataset, len(dataset.times), recipe.statistics, encoded.vectors, encoded.inputs)
    spec = RankerDataSpec.of(FeatureLayout.of(dataset), items, Objectives.of(recipe, dataset))
    return TrainedPipeline(
        click_rates=ClickRates.none(len(dataset.item_ids), len(dataset.user_ids)),
        seen_events=dataset.seen_events,
        recipe=recipe,
        encoded=encoded,
        items=items,
        ranker=build_ranker(recipe.ranker, spec).eval(),
        id_embeddings=IdEmbeddingLayer(len(items.ids), len(dataset.user_ids), 0).tables(),
    )
