"""By which order, and in which context, a call wants its list: what of a request only the bundle can judge."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle import Manifest
from shortlist.bundle.ranker_columns import CATEGORICAL
from shortlist.context import Context
from shortlist.inference.context import ContextEncoder
from shortlist.inference.score_fusion import ScoreFusion
from shortlist.serving.requests import RequestCheck, entry

# A status has little room.
_MOST_SHOWN = 100


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The order, the context as the ranker is told it ``[K]``, and how many names in it the bundle does not know."""

    fusion: ScoreFusion
    context: NDArray[np.float32]
    unknown_context: int = 0


class TermsReader:
    """Reads them for one bundle."""

    def __init__(self, manifest: Manifest) -> None:
        self._objectives = {objective.name: objective for objective in manifest.objectives}
        self._columns = {column.name: column for column in manifest.context}
        self._encoder = ContextEncoder(manifest.context)
        self.default = Terms(fusion=ScoreFusion.of(manifest.objectives), context=self._encoder.encode({}))
        """Those of a call that says nothing of them."""

    def read(self, weights: Mapping[str, float], context: Context) -> Terms:
        """The terms of a call whose fields were checked each by itself.

        Raises:
            InvalidRequest: the bundle has no such objective, or other bounds, or takes another kind of value.
        """
        if not weights and not context:
            return self.default
        check = RequestCheck()
        self._check_order(check, weights)
        unknown = self._check_context(check, context)
        check.done()
        return Terms(
            fusion=ScoreFusion.of(self._objectives.values(), weights),
            context=self._encoder.encode(context),
            unknown_context=unknown,
        )

    def _check_order(self, check: RequestCheck, weights: Mapping[str, float]) -> None:
        check.require(
            not weights or any(weights.values()),
            "objective_weights",
            "has no weight but 0; name an objective to order by",
        )
        names = ", ".join(self._objectives)[:_MOST_SHOWN]
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
        return len(context.keys() - self._columns.keys())
