"""A truncated singular value decomposition of large sparse matrices."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

_OVERSAMPLED = 20
_POWERS = 4


def right_singular_vectors(
    matrix: sparse.csr_array, count: int, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The largest ``count`` singular values, and their right vectors as columns; fewer for a smaller matrix.

    Approximate: a randomised range finder with power iterations (Halko et al., 2011, arXiv:0909.4061).
    """
    seed = int(random.integers(2**31))
    _, values, vectors = randomized_svd(matrix, count, n_oversamples=_OVERSAMPLED, n_iter=_POWERS, random_state=seed)
    return values, vectors.T
