"""From checked messages to domain objects."""

import math
from collections.abc import Mapping, Sequence

from shortlist.context import Context
from shortlist.inference.users import NO_INTERACTIONS, IdHistory, UserQuery
from shortlist.type.v1.context_pb2 import ContextValue
from shortlist.type.v1.user_pb2 import HISTORY_MODE_APPEND, HistoryItem, User


def read_context(context: Mapping[str, ContextValue]) -> Context:
    """The values that describe a call, by name."""
    return {name: value.text if value.HasField("text") else value.number for name, value in context.items()}


def read_user(user: User) -> UserQuery:
    """The user, with the history in the order of its times when every item has one."""
    history: Sequence[HistoryItem] = user.history
    if all(item.HasField("time") for item in history):
        history = sorted(history, key=lambda item: (item.time.seconds, item.time.nanos))
    return UserQuery(
        user_id=user.user_id, history=read_history(history), append=user.history_mode == HISTORY_MODE_APPEND
    )


def read_history(items: Sequence[HistoryItem]) -> IdHistory:
    """Interactions in their order."""
    if not items:
        return NO_INTERACTIONS
    return IdHistory(
        item_ids=tuple(item.item_id for item in items),
        values=tuple(item.value if item.HasField("value") else math.nan for item in items),
        events=tuple(item.event for item in items),
    )
