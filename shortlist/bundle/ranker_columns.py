"""The columns of the ranker's output and of the context, as a manifest describes them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

EVENT, VALUE = "event", "value"
CATEGORICAL, NUMERIC = "categorical", "numeric"
# Far above any use, and far below the overflow of a product of predictions.
_MAX_WEIGHT = 100.0


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A column of the ranker's output, and its weight in the order.

    An ``event`` has calibrated log-odds, a ``value`` its predicted value in its own unit. Items are ordered by the
    product of the predictions, each to its ``weight``. A call may ask for another weight, from ``min_weight`` to
    ``max_weight``, or for 0, which leaves the objective out. Only a ``multipliable`` one, above 0 throughout the
    training data, may have a weight beside others. In bundles of releases without this field, all are.
    """

    name: str
    kind: str
    weight: float
    min_weight: float
    max_weight: float
    multipliable: bool = True


@dataclass(frozen=True, kw_only=True)
class ContextColumn:
    """A column of the context of a call, such as the device.

    A ``categorical`` column is a text of ``categories``; a ``numeric`` one has a ``mean`` and ``std`` in its own unit.
    A call without it gives the ranker ``absent``, ``[width]``: the mean over the training data. Bundles of releases
    without this field give zeros.
    """

    name: str
    kind: str
    categories: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 1.0
    absent: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """The number of inputs that the ranker has for it."""
        return len(self.categories) if self.kind == CATEGORICAL else 2


def check_objectives(objectives: Sequence[Objective]) -> None:
    """Raises ValueError when the objectives define no order; names the wrong field."""
    _require_names("objectives", [objective.name for objective in objectives])
    for objective in objectives:
        _require(objective.kind in {EVENT, VALUE}, f"objective {objective.name!r}: kind")
        least, most = objective.min_weight, objective.max_weight
        _require(-_MAX_WEIGHT <= least <= most <= _MAX_WEIGHT, f"objective {objective.name!r}: weight")
        _require(objective.weight == 0 or least <= objective.weight <= most, f"objective {objective.name!r}: weight")
    _require(any(objective.weight for objective in objectives), "objectives: weight of all of them")


def check_context(columns: Sequence[ContextColumn]) -> None:
    """Raises ValueError when the columns cannot encode a context; names the wrong field."""
    _require_names("context", [column.name for column in columns])
    for column in columns:
        place = f"context {column.name!r}"
        _require(column.kind in {CATEGORICAL, NUMERIC}, f"{place}: kind")
        _require(bool(column.categories) is (column.kind == CATEGORICAL), f"{place}: categories")
        _require(len(set(column.categories)) == len(column.categories), f"{place}: categories")
        _require(math.isfinite(column.mean), f"{place}: mean")
        _require(0 < column.std < math.inf, f"{place}: std")
        _require(len(column.absent) in {0, column.width}, f"{place}: absent")
        # Shares of the categories, or for a number its standardised mean and the share of known values.
        _require(all(0 <= one <= 1 for one in column.absent), f"{place}: absent")


def _require_names(field: str, names: Sequence[str]) -> None:
    _require(all(names) and len(set(names)) == len(names), f"{field}: name")


def _require(holds: bool, name: str) -> None:
    if not holds:
        raise ValueError(f"{name[:120]} is out of range")
