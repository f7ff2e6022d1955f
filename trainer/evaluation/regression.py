"""Metrics of predicted values ``[n]`` beside the values themselves."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating]


def figures_of_values(predicted: Numbers, values: Numbers) -> dict[str, float]:
    """``rmse``, the root of the mean square of the errors, and ``mae``, the mean of their sizes; NaN of none at all."""
    if not len(values):
        return {"rmse": np.nan, "mae": np.nan}
    errors = predicted.astype(np.float64) - values
    return {"rmse": float(np.sqrt(np.square(errors).mean())), "mae": float(np.abs(errors).mean())}
