"""The weights and the context of a call, checked against the bundle."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle import Manifest
from shortlist.bundle.ranker_columns import CATEGORICAL
from shortlist.context import Context
from shortlist.inference.context import ContextEncoder
from shortlist.inference.score_fusion import ScoreFusion
from shortlist.wire.request_check import RequestCheck, entry

# A status has little room.
_MOST_LISTED_CHARS = 100


@dataclass(frozen=True, kw_only=True)
class RankingOptions:
    """The score fusion, the encoded context ``[K]``, and how much of the context the bundle does not know."""

    fusion: ScoreFusion
    context: NDArray[np.float32]
    unknown_context: int = 0


class OptionsReader:
    """Checks and reads the options of calls for one bundle."""

    def __init__(self, manifest: Manifest) -> None:
        self._objectives = {objective.name: objective for objective in manifest.objectives}
        self._columns = {column.name: column for column in manifest.context}
        self._encoder = ContextEncoder(manifest.context)
        self.default = RankingOptions(fusion=ScoreFusion.of(manifest.objectives), context=self._encoder.encode({}))
        """The options of a call without weights and context."""

    def read(self, weights: Mapping[str, float], context: Context) -> RankingOptions:
        """The options of a call whose fields are valid by themselves.

        Raises:
            InvalidRequest: the bundle has no such objective, other bounds, or another kind of context value.
        """
        if not weights and not context:
            return self.default
        check = RequestCheck()
        self._check_weights(check, weights)
        unknown = self._check_context(check, context)
        check.done()
        return RankingOptions(
            fusion=ScoreFusion.of(self._objectives.values(), weights),
            context=self._encoder.encode(context),
            unknown_context=unknown,
        )

    def _check_weights(self, check: RequestCheck, weights: Mapping[str, float]) -> None:
        check.require(
            not weights or any(weights.values()),
            "objective_weights",
            "has no weight but 0; give one objective another weight",
        )
        weighted = [name for name, weight in weights.items() if weight]
        for name in weighted if len(weighted) > 1 else ():
            objective = self._objectives.get(name)
            check.require(
                objective is None or objective.multipliable,
                entry("objective_weights", name),
                "has values of 0 or below, which a product cannot order; give it the only weight",
            )
        names = ", ".join(self._objectives)[:_MOST_LISTED_CHARS]
        for name, weight in weights.items():
            objective = self._objectives.get(name)
            check.require(
                objective is not None,
                entry("objective_weights", name),
                f"is no objective of this bundle; it has {names}",
            )
            if objective is not None:
                least, most = objective.min_weight, objective.max_weight
                fits = weight == 0 or least <= weight <= most
                check.require(
                    fits, entry("objective_weights", name), f"is {weight:g}; has to be 0, or {least:g} to {most:g}"
                )

    def _check_context(self, check: RequestCheck, context: Context) -> int:
        for name in context.keys() & self._columns.keys():
            kind = self._columns[name].kind
            fits = isinstance(context[name], str) is (kind == CATEGORICAL)
            check.require(fits, entry("context", name), f"has to be a {'text' if kind == CATEGORICAL else 'number'}")
        known = sum(self._encoder.knows(name, value) for name, value in context.items())
        return len(context) - known
