"""Names as a person reads them."""

_MODELS = {
    "popularity": "popularity",
    "itemknn": "item-to-item, shrunk cosine",
    "ease": "EASE",
    "cooccurrence": "sequential co-occurrence",
    "contentknn": "nearest by content",
    "retrieval": "retrieval",
    "two_stage": "both stages",
    "transitions": "transitions from the last items",
    "lightgbm": "LightGBM in the ranker's place",
}
# Models of protocols that have none of the above except the trees.
_PREDICTING = {
    "mean": ("the mean of all", "popularity"),
    "biases": ("means of users and items", "cooccurrence"),
    "ranker": ("the ranker", "two_stage"),
    "two_sided": ("SVD++ of both sides", "two_stage"),
}
_METRICS = {
    "ndcg": "nDCG",
    "hr": "HR",
    "mrr": "MRR",
    "recall_min": "recall (min)",
    "gini": "Gini",
    "auc": "mean AUC",
    "-rmse": "negative RMSE",
    "rmse": "RMSE",
    "mae": "MAE",
}
_OF_A_OBJECTIVE = {"auc": "AUC", "gauc": "GAUC", "logloss": "log loss", "rmse": "RMSE", "mae": "MAE"}
_ERRORS = ("rmse", "mae", "logloss")


def model_label(name: str) -> str:
    """``two_stage`` → ``both stages``."""
    return _PREDICTING[name][0] if name in _PREDICTING else _MODELS.get(name, name)


def model_colour(name: str) -> int:
    """The place of its colour in the page's style, the same in every chart."""
    _, as_that = _PREDICTING.get(name, ("", name))
    return list(_MODELS).index(as_that) if as_that in _MODELS else len(_MODELS) - 1


def metric_label(name: str) -> str:
    """``ndcg@10`` → ``nDCG@10``, and of an objective ``click/auc`` → ``click AUC``."""
    objective, slash, of_objective = name.rpartition("/")
    if slash:
        return f"{objective} {_OF_A_OBJECTIVE.get(of_objective, of_objective)}"
    kind, at, cut = name.partition("@")
    return f"{_METRICS.get(kind, kind)}{at}{cut}"


def change_text(before: float, after: float) -> str:
    """``+12.3%``, or the plain difference where the figure more than doubles: a percentage of almost 0 says nothing."""
    if before > 0 and abs(after - before) <= before:
        return f"{round((after - before) / before, 3) + 0.0:+.1%}"
    return f"{after - before:+.4f}"


def is_error(metric: str) -> bool:
    """Whether less of it is better."""
    return metric.rpartition("/")[2] in _ERRORS
