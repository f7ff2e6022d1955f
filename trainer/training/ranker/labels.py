"""The labels of objectives: those without two classes teach a ranker nothing, and measure nothing."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainer.errors import DataError
from trainer.models.rankers.objectives import Objective, Objectives
from trainer.progress import Reporter


def check_learnt(
    objectives: Objectives, targets: NDArray[np.float32], reporter: Reporter, *, contrasted: bool = False
) -> None:
    """Warns of objectives whose training labels ``[n, G]`` have one class, or one value.

    In ``contrasted`` lists every other candidate is a 0, so that events that always happen can be learnt from.

    Raises:
        DataError: no objective that orders the list has two classes.
    """
    found = {one.name: text for one, text in _degenerate(objectives, targets) if not (contrasted and text == _ONES)}
    ordering = [one.name for one in objectives if one.weight]
    if all(name in found for name in ordering):
        texts = "; ".join(f"[objectives.{name}] {found[name]}" for name in ordering)
        raise DataError(
            f"{texts} in {len(targets):,} training examples, so that the order of a list cannot be learnt. Correct the "
            "column, or order by another objective"
        )
    for name, text in found.items():
        reporter.warn(f"[objectives.{name}] {text} in {len(targets):,} training examples; its predictions say nothing")


def warn_of_one_class(objectives: Objectives, targets: NDArray[np.float32], part: str, reporter: Reporter) -> None:
    """Warns of event objectives without an AUC on a part of the data, from its labels ``[n, G]``."""
    for one, text in _degenerate(objectives, targets):
        if not one.is_value:
            reporter.warn(f"[objectives.{one.name}] {text} in {len(targets):,} examples of the {part}: it has no AUC")


_ONES, _ZEROS = "is always 1", "is always 0"


def _degenerate(objectives: Objectives, targets: NDArray[np.float32]) -> Iterator[tuple[Objective, str]]:
    for one, column in zip(objectives, targets.T, strict=True):
        observed = column[np.isfinite(column)]
        if not len(observed):
            yield one, "is never observed"
        elif one.is_value:
            if observed.min() == observed.max():
                yield one, f"is always {observed[0]:g}"
        elif (observed > 0).all() or not (observed > 0).any():
            yield one, _ONES if observed[0] > 0 else _ZEROS
