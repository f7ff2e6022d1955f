"""Builds a bundle's index and measures it, in a process without PyTorch.

``python -m trainer.build_index VECTORS.npy QUERIES.npy INDEX SPEC NPROBE COUNT`` prints the recall at COUNT.
"""

import sys
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

# k-means needs some vectors for each list, and gains nothing from millions.
_MAX_TRAINING_VECTORS = 500_000


def build(vectors: NDArray[np.float32], spec: str) -> faiss.Index:
    """The index of vectors ``[items, dimension]`` that a FAISS factory string describes, by inner product."""
    index = faiss.index_factory(vectors.shape[1], spec, faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        step = max(1, len(vectors) // _MAX_TRAINING_VECTORS)
        index.train(np.ascontiguousarray(vectors[::step]))
    index.add(vectors)
    return index


def recall(index: faiss.Index, vectors: NDArray[np.float32], queries: NDArray[np.float32], count: int) -> float:
    """Share of the exact ``count`` nearest items to each query that the index finds."""
    exact = faiss.IndexFlatIP(vectors.shape[1])
    exact.add(vectors)
    wanted, found = exact.search(queries, count)[1], index.search(queries, count)[1]
    shared = [np.intersect1d(one, other).size for one, other in zip(wanted, found, strict=True)]
    return float(np.mean(shared) / count)


def main(vectors_path: str, queries_path: str, index_path: str, spec: str, nprobe: str, count: str) -> None:
    """See the module."""
    vectors, queries = (np.load(path, allow_pickle=False) for path in (vectors_path, queries_path))
    index = build(vectors, spec)
    if nprobe != "-":
        faiss.extract_index_ivf(index).nprobe = int(nprobe)
    measured = recall(index, vectors, queries, min(int(count), len(vectors)))
    faiss.write_index(index, str(Path(index_path)))
    sys.stdout.write(f"{measured}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
