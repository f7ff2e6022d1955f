"""From a data directory and a recipe to the arrays that training reads."""

from trainer.data.dataset import DataCounts, Dataset, Features
from trainer.data.load import load

__all__ = ["DataCounts", "Dataset", "Features", "load"]
