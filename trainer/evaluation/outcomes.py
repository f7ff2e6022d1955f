"""How well what came of it was foretold, all in double precision."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def figures_of_values(predicted: Floats, values: Floats) -> dict[str, float]:
    """``rmse`` and ``mae`` of n predictions."""
    errors = predicted.astype(np.float64) - values
    return {"rmse": float(np.sqrt(np.square(errors).mean())), "mae": float(np.abs(errors).mean())}
