"""Protocols whose answers are predictions and not lists: each says by itself what is learnt, predicted and measured."""

from collections.abc import Callable, Mapping
from pathlib import Path

from trainer.data import Dataset
from trainer.fit import Figures
from trainer.progress import Reporter
from trainer.protocols.impressions import IMPRESSIONS
from trainer.protocols.rating import RATING
from trainer.ranker_run import impression_runs
from trainer.ratings.runs import rating_runs
from trainer.recipe import Recipe

Predictions = Callable[[Dataset, Recipe, Path, int, Reporter], list[Figures]]
"""The data, the recipe, the folder of the data and the number of seeds → the figures of each seed."""

PREDICTIONS: Mapping[str, Predictions] = {IMPRESSIONS: impression_runs, RATING: rating_runs}
