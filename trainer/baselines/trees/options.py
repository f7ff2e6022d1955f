"""How trees are grown, whatever they learn."""

from collections.abc import Mapping
from typing import Any

TREES, PATIENCE = 1000, 50
OPTIONS: Mapping[str, Any] = {
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "verbosity": -1,
    "deterministic": True,
    "num_threads": 1,
}
