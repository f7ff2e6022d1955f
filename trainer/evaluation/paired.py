"""The difference of two models on the same queries."""

import math

import numpy as np
import scipy.stats
from numpy.typing import NDArray


def paired_difference(ours: NDArray[np.floating], theirs: NDArray[np.floating]) -> tuple[float, float]:
    """The mean of ours ``[Q]`` minus theirs ``[Q]``, and half of its 95 % interval.

    The interval is Student's of the paired differences; NaN for one query.
    """
    differences = ours - theirs
    error = float(scipy.stats.sem(differences)) if len(differences) > 1 else math.nan
    return float(differences.mean()), error * float(scipy.stats.t.ppf(0.975, max(len(differences) - 1, 1)))
