"""Protocols whose answers are predictions and not lists: each says by itself what is learnt, predicted and measured."""

from collections.abc import Callable, Mapping
from pathlib import Path

from trainer.analysis.evaluation_result import Predicted
from trainer.commands.impression_evaluation import impression_runs
from trainer.data import Dataset
from trainer.experiments.ratings.protocol import RATING
from trainer.experiments.ratings.runs import rating_runs
from trainer.progress import Reporter
from trainer.protocols.impressions import IMPRESSIONS
from trainer.recipe import Recipe

Predictions = Callable[[Dataset, Recipe, Path, int, Reporter], Predicted]
"""The data, the recipe, the folder of the data and the number of seeds → what was measured."""

PREDICTIONS: Mapping[str, Predictions] = {IMPRESSIONS: impression_runs, RATING: rating_runs}
