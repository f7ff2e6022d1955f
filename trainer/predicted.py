"""What comes of a protocol whose answers are predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.attribution import RankerAttribution
from trainer.fit import Figures


@dataclass(frozen=True, kw_only=True, eq=False)
class Predicted:
    """The figures of each seed, and of rankers what these rest on."""

    runs: list[Figures]
    attributions: Sequence[RankerAttribution] = ()
