"""By which order, and in which context, a call wants its list: what of a request only the bundle can judge."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle import Manifest
from shortlist.bundle.ranker_columns import CATEGORICAL
from shortlist.context import Context
from shortlist.inference.context import ContextEncoder
from shortlist.inference.order import Order
from shortlist.serving.requests import RequestCheck, entry

# A status has little room.
_MOST_SHOWN = 100


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The order, the context as the ranker is told it ``[K]``, and how many names in it the bundle does not know."""

    order: Order
    context: NDArray[np.float32]
    unknown_context: int = 0


class TermsReader:
    """Reads them for one bundle."""

    def __init__(self, manifest: Manifest) -> None:
        self._goals = {goal.name: goal for goal in manifest.goals}
        self._columns = {column.name: column for column in manifest.context}
        self._encoder = ContextEncoder(manifest.context)
        self.default = Terms(order=Order.of(manifest.goals), context=self._encoder.encode({}))
        """Those of a call that says nothing of them."""

    def read(self, powers: Mapping[str, float], context: Context) -> Terms:
        """The terms of a call whose fields were checked each by itself.

        Raises:
            InvalidRequest: the bundle has no such goal, or other bounds, or takes another kind of value.
        """
        if not powers and not context:
            return self.default
        check = RequestCheck()
        self._check_order(check, powers)
        unknown = self._check_context(check, context)
        check.done()
        return Terms(
            order=Order.of(self._goals.values(), powers),
            context=self._encoder.encode(context),
            unknown_context=unknown,
        )

    def _check_order(self, check: RequestCheck, powers: Mapping[str, float]) -> None:
        check.require(not powers or any(powers.values()), "order", "has no power but 0; name a goal to order by")
        names = ", ".join(self._goals)[:_MOST_SHOWN]
        for name, power in powers.items():
            goal = self._goals.get(name)
            check.require(goal is not None, entry("order", name), f"is no goal of this bundle; it has {names}")
            if goal is not None:
                least, most = goal.least_power, goal.most_power
                fits = power == 0 or least <= power <= most
                check.require(fits, entry("order", name), f"is {power:g}; has to be 0, or {least:g} to {most:g}")

    def _check_context(self, check: RequestCheck, context: Context) -> int:
        for name in context.keys() & self._columns.keys():
            kind = self._columns[name].kind
            fits = isinstance(context[name], str) is (kind == CATEGORICAL)
            check.require(fits, entry("context", name), f"has to be a {'text' if kind == CATEGORICAL else 'number'}")
        return len(context.keys() - self._columns.keys())
