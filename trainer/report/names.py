"""Names as a person reads them."""

_MODELS = {
    "popularity": "popularity",
    "itemknn": "item-to-item, cosine",
    "ease": "EASE",
    "cooccurrence": "sequential co-occurrence",
    "contentknn": "nearest by content",
    "retrieval": "retrieval",
    "two_stage": "both stages",
    "lightgbm": "LightGBM in the ranker's place",
}
_METRICS = {
    "ndcg": "nDCG",
    "hr": "HR",
    "mrr": "MRR",
    "recall_min": "recall (min)",
    "gini": "Gini",
    "auc": "mean AUC",
    "-rmse": "negative RMSE",
}


def model_label(name: str) -> str:
    """``two_stage`` → ``both stages``."""
    return _MODELS.get(name, name)


def model_colour(name: str) -> int:
    """The place of its colour in the page's style, the same in every chart."""
    return list(_MODELS).index(name) if name in _MODELS else len(_MODELS) - 1


def metric_label(name: str) -> str:
    """``ndcg@10`` → ``nDCG@10``."""
    kind, at, cut = name.partition("@")
    return f"{_METRICS.get(kind, kind)}{at}{cut}"
