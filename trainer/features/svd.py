"""A truncated singular value decomposition of large sparse matrices."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_OVERSAMPLED = 20
_POWERS = 4


def right_singular_vectors(
    matrix: sparse.csr_array, count: int, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The largest ``count`` singular values, and their right vectors as columns, about (Halko et al., 2011, with power
    iterations, arXiv:0909.4061). There are fewer when the matrix has fewer columns.

    Ours, because scikit-learn's costs quality: nDCG@20 of GF-CF on Gowalla is .1562 with it and .1566 without, over 3
    seeds. The 95 % interval of the difference is -.0007 to -.0001 (`python -m bench.quality.compare`).
    """
    width = min(count + _OVERSAMPLED, matrix.shape[1])
    basis = random.standard_normal((matrix.shape[1], width), dtype=np.float32)
    for _ in range(_POWERS):
        basis = np.linalg.qr(matrix.T @ (matrix @ basis))[0]
    image = matrix @ basis
    squares, turn = np.linalg.eigh(image.T @ image)
    order = np.argsort(-squares)[:count]
    return np.sqrt(squares[order].clip(min=0.0)), basis @ turn[:, order]
