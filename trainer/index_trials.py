"""Indexes tried on real user vectors: what each of them finds, and what a search costs.

Runs in a process without PyTorch.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.manifest import IndexTrial
from trainer.index_families import Family

# k-means gains nothing from more vectors for a list.
_TRAINED_PER_LIST = 64
_LEAST_TRAINED = 100_000
_ADDED_AT_ONCE = 500_000
_ROUNDS, _TIMED_CALLS = 5, 50
_TOGETHER = 8

Vectors = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Queries:
    """User vectors ``[n, D]`` and the exact nearest items of each, ``[n, count]``."""

    vectors: Vectors
    exact: NDArray[np.int64]

    @classmethod
    def of(cls, vectors: Vectors, items: Vectors, count: int) -> "Queries":
        """Searched for among all items, a part of them at a time."""
        best = faiss.ResultHeap(len(vectors), count, keep_max=True)
        for start in range(0, len(items), _ADDED_AT_ONCE):
            part = np.ascontiguousarray(items[start : start + _ADDED_AT_ONCE])
            scores, rows = faiss.knn(vectors, part, min(count, len(part)), metric=faiss.METRIC_INNER_PRODUCT)
            best.add_result(scores, rows + start)
        best.finalize()
        return cls(vectors=vectors, exact=best.I)

    @property
    def count(self) -> int:
        """How many neighbours are asked for."""
        return int(self.exact.shape[1])

    def recall(self, index: faiss.Index) -> float:
        """Share of the exact nearest that the index finds."""
        found = index.search(self.vectors, self.count)[1]
        shared = [np.intersect1d(one, other).size for one, other in zip(self.exact, found, strict=True)]
        return float(np.mean(shared) / self.count)

    def microseconds(self, index: faiss.Index, together: int = 1) -> float:
        """Median time of a query, so many of them in a call, on one thread."""
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)
        times = []
        for start in range(0, min(len(self.vectors), _TIMED_CALLS * together) - together + 1, together):
            batch = self.vectors[start : start + together]
            started = time.perf_counter()
            index.search(batch, self.count)
            times.append((time.perf_counter() - started) / together)
        faiss.omp_set_num_threads(threads)
        return float(np.median(times)) * 1e6


def build(items: Vectors, spec: str) -> faiss.Index:
    """The index of vectors ``[items, D]`` that a FAISS factory string describes, by inner product.

    Raises:
        RuntimeError: FAISS refuses the string.
    """
    index = faiss.index_factory(items.shape[1], spec, faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        inverted = faiss.try_extract_index_ivf(index)
        wanted = max(_LEAST_TRAINED, _TRAINED_PER_LIST * (inverted.nlist if inverted else 0))
        index.train(np.ascontiguousarray(items[:: max(1, len(items) // wanted)]))
    for start in range(0, len(items), _ADDED_AT_ONCE):
        index.add(np.ascontiguousarray(items[start : start + _ADDED_AT_ONCE]))
    return index


def set_parameters(index: faiss.Index, parameters: str) -> None:
    """Sets what FAISS's own parameter space calls by these names."""
    if parameters:
        faiss.ParameterSpace().set_index_parameters(index, parameters)  # type: ignore[arg-type]  # one of its two forms


def try_family(family: Family, items: Vectors, tuning: Queries, target: float, path: Path) -> IndexTrial:
    """Builds the index into ``path`` and finds the fastest of its parameters that reach the target.

    When none does, the parameters that find the most.
    """
    started = time.monotonic()
    index = build(items, family.spec)
    seconds = time.monotonic() - started
    faiss.write_index(index, str(path))
    climbed = [_climb(index, ladder, tuning, target) for ladder in family.ladders]
    holding = [step for step in climbed if step[1] >= target] or [max(climbed, key=lambda step: step[1])]
    timed = []
    for parameters, recall in holding:
        set_parameters(index, parameters)
        timed.append((tuning.microseconds(index), parameters, recall))
    microseconds, parameters, recall = min(timed)
    return IndexTrial(
        spec=family.spec,
        parameters=parameters,
        recall=recall,
        search_us=microseconds,
        search_us_batch=microseconds,
        bytes_per_vector=path.stat().st_size / len(items),
        build_seconds=seconds,
    )


def measured(trials: Sequence[IndexTrial], paths: Sequence[Path], reporting: Queries) -> list[IndexTrial]:
    """The trials with recall and times on queries that no parameter was chosen by.

    The times are of one run, in which the indexes take turns, so that noise hits all alike.
    """
    indexes = [_opened(path, trial) for path, trial in zip(paths, trials, strict=True)]
    rounds = [
        [(reporting.microseconds(index), reporting.microseconds(index, _TOGETHER)) for index in indexes]
        for _ in range(_ROUNDS)
    ]
    times = np.median(rounds, axis=0).tolist()
    return [
        replace(trial, recall=reporting.recall(index), search_us=one, search_us_batch=together)
        for trial, index, (one, together) in zip(trials, indexes, times, strict=True)
    ]


def _opened(path: Path, trial: IndexTrial) -> faiss.Index:
    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    set_parameters(index, trial.parameters)
    return index


def _climb(index: faiss.Index, ladder: Sequence[str], tuning: Queries, target: float) -> tuple[str, float]:
    """The first step that reaches the target, or the last there is, and its recall."""
    step, found = "", 0.0
    for step in ladder:
        set_parameters(index, step)
        found = tuning.recall(index)
        if found >= target:
            break
    return step, found
