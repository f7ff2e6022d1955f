"""The evaluators of the protocols whose answers are predictions, by the protocol's name."""

from collections.abc import Callable, Mapping
from pathlib import Path

from trainer.analysis.evaluation_result import EvaluationResult
from trainer.data import Dataset
from trainer.experiments.ratings.runs import evaluate_ratings
from trainer.jobs.impression_evaluation import evaluate_impressions
from trainer.progress import Reporter
from trainer.protocols import IMPRESSIONS, RATING
from trainer.recipe import Recipe

Evaluator = Callable[[Dataset, Recipe, Path, int, Reporter], EvaluationResult]
"""The data, the recipe, the folder of the data and the number of seeds → the result."""

EVALUATORS: Mapping[str, Evaluator] = {IMPRESSIONS: evaluate_impressions, RATING: evaluate_ratings}
