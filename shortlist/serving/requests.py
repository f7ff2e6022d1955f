"""The edge: what both services check of a request, and how messages become domain objects."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from shortlist.bundle.ids import MAX_ID_BYTES
from shortlist.context import Context
from shortlist.errors import FieldViolation, InvalidRequest
from shortlist.inference.users import UserQuery
from shortlist.type.v1.context_pb2 import ContextValue
from shortlist.type.v1.user_pb2 import HistoryItem, User

V = TypeVar("V")

MAX_LIMIT = 1000
MAX_HISTORY = 5000
MAX_EXCLUDED = 5000
MAX_POWERS = 64
MAX_CONTEXT = 64
MAX_BATCH = 100
# All candidates of a batch: what still fits into a message.
MAX_BATCH_CANDIDATES = 20_000
# What the models calculate in.
MAX_VALUE = float(np.finfo(np.float32).max)
# Of a name that a caller chose: several of them have to fit into a status.
_MOST_OF_A_NAME = 40


class RequestCheck:
    """Collects what is wrong with a request, so that the caller learns of everything at once."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._violations: list[FieldViolation] = []

    def require(self, holds: bool, field: str, description: str) -> None:
        """Notes a violation of ``field`` unless the condition holds."""
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
        """Checks the ids, times and values of a user."""
        size = len(user.user_id.encode())
        self.require(size <= MAX_ID_BYTES, f"{field}.user_id", f"has {size} bytes; at most {MAX_ID_BYTES} are accepted")
        self.ids([item.item_id for item in user.history], f"{field}.history", MAX_HISTORY)
        for place, item in enumerate(user.history[:MAX_HISTORY]):
            fits = not item.HasField("value") or abs(item.value) <= MAX_VALUE
            self.require(fits, f"{field}.history[{place}].value", "is not a finite number of 32 bits")
            valid = 0 <= item.time.nanos < 1_000_000_000
            self.require(valid, f"{field}.history[{place}].time.nanos", "has to be 0 to 999,999,999")

    def objective_weights(self, weights: Mapping[str, float], field: str = "objective_weights") -> None:
        """Requires at most ``MAX_POWERS`` finite weights, each of something named."""
        for name, weight in self._entries(weights, field, MAX_POWERS):
            self.require(math.isfinite(weight), entry(field, name), f"is {weight}; has to be a finite number")

    def context(self, context: Mapping[str, ContextValue], field: str = "context") -> None:
        """Requires at most ``MAX_CONTEXT`` values with names: texts of ``MAX_ID_BYTES`` bytes, or finite numbers."""
        for name, value in self._entries(context, field, MAX_CONTEXT):
            size = len(value.text.encode())
            self.require(value.HasField("kind"), entry(field, name), "is empty; has to be a text or a number")
            self.require(
                size <= MAX_ID_BYTES, entry(field, name), f"has {size} bytes; at most {MAX_ID_BYTES} are accepted"
            )
            self.require(abs(value.number) <= MAX_VALUE, entry(field, name), "is not a finite number of 32 bits")

    def done(self) -> None:
        """Raises :class:`InvalidRequest` with everything found."""
        if self._violations:
            raise InvalidRequest(tuple(self._violations))

    def _entries(self, values: Mapping[str, V], field: str, maximum: int) -> Iterable[tuple[str, V]]:
        """What is left to check of a map: nothing of one with too many entries."""
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
    """How a violation names an entry of a map."""
    return f"{field}[{ascii(name)[:_MOST_OF_A_NAME]}]"


def read_context(context: Mapping[str, ContextValue]) -> Context:
    """The domain object of a checked message."""
    return {name: value.text if value.HasField("text") else value.number for name, value in context.items()}


def read_user(user: User) -> UserQuery:
    """The domain object of a checked message, its history in the order of time."""
    history: Sequence[HistoryItem] = user.history
    if all(item.HasField("time") for item in history):
        history = sorted(history, key=lambda item: (item.time.seconds, item.time.nanos))
    return UserQuery(
        user_id=user.user_id,
        item_ids=tuple(item.item_id for item in history),
        values=tuple(item.value if item.HasField("value") else math.nan for item in history),
        events=tuple(item.event for item in history),
    )
