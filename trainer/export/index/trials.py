"""Trials of indexes on real user vectors: recall, and the time of a search.

Runs in a process without PyTorch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.index_info import IndexTrial
from trainer.export.index.builder import Builder, set_parameters
from trainer.export.index.families import Family
from trainer.export.index.queries import Queries

_ROUNDS = 5
_TOGETHER = 8
_STANDARD_ERRORS = 2.0


@dataclass(frozen=True, kw_only=True)
class Step:
    """Parameters that were tried, the recall they gave, and whether it surely reaches the target."""

    parameters: str
    recall: float
    reaches: bool


def try_family(family: Family, builder: Builder, tuning: Queries, target: float, path: Path) -> tuple[IndexTrial, bool]:
    """Builds the index into ``path`` and finds the fastest of its parameters that reach the target.

    When none does, the parameters that find the most. Also says whether the target was reached.
    """
    index, seconds = builder.build(family.spec)
    faiss.write_index(index, str(path))
    climbed = [_climb(index, ladder, tuning, target) for ladder in family.ladders]
    holding = [step for step in climbed if step.reaches] or [max(climbed, key=lambda step: step.recall)]
    rounds = tuning.rounds(index)
    microseconds, best = min(
        ((_timed(index, step, tuning, rounds), step) for step in holding), key=lambda timed: timed[0]
    )
    trial = IndexTrial(
        spec=family.spec,
        parameters=best.parameters,
        recall=best.recall,
        search_us=microseconds,
        search_us_batch=microseconds,
        bytes_per_vector=path.stat().st_size / index.ntotal,
        build_seconds=seconds,
        rescored=rounds,
    )
    return trial, best.reaches


def measured(trials: Sequence[IndexTrial], paths: Sequence[Path], reporting: Queries) -> list[IndexTrial]:
    """The trials with recall and times on queries that no parameter was chosen by.

    The times are of one run, in which the indexes take turns, so that noise hits all alike.
    """
    indexes = [_opened(path, trial) for path, trial in zip(paths, trials, strict=True)]
    rounds = [
        [
            [reporting.microseconds(index, trial.rescored, together) for together in (1, _TOGETHER)]
            for index, trial in zip(indexes, trials, strict=True)
        ]
        for _ in range(_ROUNDS)
    ]
    times = np.median(rounds, axis=0).tolist()
    return [
        replace(trial, recall=float(reporting.shares(index).mean()), search_us=one, search_us_batch=together)
        for trial, index, (one, together) in zip(trials, indexes, times, strict=True)
    ]


def _opened(path: Path, trial: IndexTrial) -> faiss.Index:
    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    set_parameters(index, trial.parameters)
    return index


def _timed(index: faiss.Index, step: Step, tuning: Queries, rounds: bool) -> float:
    set_parameters(index, step.parameters)
    return tuning.microseconds(index, rounds)


def _climb(index: faiss.Index, ladder: Sequence[str], tuning: Queries, target: float) -> Step:
    """The first step that reaches the target, or the last there is."""
    for parameters in ladder:
        set_parameters(index, parameters)
        shares = tuning.shares(index)
        step = Step(parameters=parameters, recall=float(shares.mean()), reaches=_surely(shares) >= target)
        if step.reaches:
            break
    return step


def _surely(shares: NDArray[np.float64]) -> float:
    # The first of many steps to reach a target on some users may owe it to those users.
    return float(shares.mean() - _STANDARD_ERRORS * shares.std() / len(shares) ** 0.5)
