"""Checks the fields of a request, and reports every violation at once."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from shortlist.errors import FieldViolation, InvalidRequest
from shortlist.limits import MAX_CONTEXT, MAX_HISTORY, MAX_ID_BYTES, MAX_LIMIT, MAX_OBJECTIVE_WEIGHTS, MAX_VALUE
from shortlist.type.v1.context_pb2 import ContextValue
from shortlist.type.v1.user_pb2 import HistoryItem, HistoryMode, User

V = TypeVar("V")

_HISTORY_MODES = frozenset(HistoryMode.values())
# A caller chose the name, and several names have to fit into a status.
_MOST_NAME_CHARS = 40


class RequestCheck:
    """Collects the violations of a request; ``prefix`` is the path to the message that is checked."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._violations: list[FieldViolation] = []

    def require(self, holds: bool, field: str, description: str) -> None:
        """Adds a violation of ``field`` unless the condition holds."""
        if not holds:
            self._violations.append(FieldViolation(self._prefix + field, description))

    def limit(self, value: int, field: str = "limit") -> None:
        """Requires 1 to ``MAX_LIMIT``."""
        self.require(1 <= value <= MAX_LIMIT, field, f"is {value}; has to be 1 to {MAX_LIMIT}")

    def ids(self, values: Sequence[str], field: str, maximum: int) -> None:
        """Requires at most ``maximum`` ids, each of 1 to ``MAX_ID_BYTES`` bytes."""
        self.require(len(values) <= maximum, field, f"has {len(values)} ids; at most {maximum} are accepted")
        for place, value in enumerate(values[:maximum]):
            size = len(value.encode())
            self.require(
                1 <= size <= MAX_ID_BYTES, f"{field}[{place}]", f"has {size} bytes; has to have 1 to {MAX_ID_BYTES}"
            )

    def user(self, user: User, field: str = "user") -> None:
        """Checks the ids, the mode, and the times and values of a user."""
        size = len(user.user_id.encode())
        self.require(size <= MAX_ID_BYTES, f"{field}.user_id", f"has {size} bytes; at most {MAX_ID_BYTES} are accepted")
        self.require(user.history_mode in _HISTORY_MODES, f"{field}.history_mode", "is unknown to this release")
        self.history(user.history, f"{field}.history")

    def history(self, items: Sequence[HistoryItem], field: str) -> None:
        """Checks the number of interactions, and the ids, times and values of each."""
        self.ids([item.item_id for item in items], field, MAX_HISTORY)
        for place, item in enumerate(items[:MAX_HISTORY]):
            fits = not item.HasField("value") or abs(item.value) <= MAX_VALUE
            self.require(fits, f"{field}[{place}].value", "is not a finite number of 32 bits")
            valid = 0 <= item.time.nanos < 1_000_000_000
            self.require(valid, f"{field}[{place}].time.nanos", "has to be 0 to 999,999,999")

    def objective_weights(self, weights: Mapping[str, float], field: str = "objective_weights") -> None:
        """Requires at most ``MAX_OBJECTIVE_WEIGHTS`` finite weights, each with a name."""
        for name, weight in self._entries(weights, field, MAX_OBJECTIVE_WEIGHTS):
            self.require(math.isfinite(weight), entry(field, name), f"is {weight}; has to be a finite number")

    def context(self, context: Mapping[str, ContextValue], field: str = "context") -> None:
        """Requires at most ``MAX_CONTEXT`` named values: texts of ``MAX_ID_BYTES`` bytes, or finite numbers."""
        for name, value in self._entries(context, field, MAX_CONTEXT):
            size = len(value.text.encode())
            self.require(value.HasField("kind"), entry(field, name), "is empty; has to be a text or a number")
            self.require(
                size <= MAX_ID_BYTES, entry(field, name), f"has {size} bytes; at most {MAX_ID_BYTES} are accepted"
            )
            self.require(abs(value.number) <= MAX_VALUE, entry(field, name), "is not a finite number of 32 bits")

    def done(self) -> None:
        """Ends the check.

        Raises:
            InvalidRequest: there are violations; it has all of them.
        """
        if self._violations:
            raise InvalidRequest(tuple(self._violations))

    def _entries(self, values: Mapping[str, V], field: str, maximum: int) -> Iterable[tuple[str, V]]:
        """The entries left to check, once size and names are: none of a map with too many."""
        count = len(values)
        self.require(count <= maximum, field, f"has {count} entries; at most {maximum} are accepted")
        if count > maximum:
            return ()
        for name in values:
            size = len(name.encode())
            named = 1 <= size <= MAX_ID_BYTES
            self.require(named, entry(field, name), f"has a name of {size} bytes; has to be 1 to {MAX_ID_BYTES}")
        return values.items()


def entry(field: str, name: str) -> str:
    """The field path of an entry of a map."""
    return f"{field}[{ascii(name)[:_MOST_NAME_CHARS]}]"
