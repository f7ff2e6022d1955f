"""Live: the interactions since the bundle, from the live service; none, and the reason, when it gives none."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from shortlist.bundle.bundle import Bundle
from shortlist.degraded import Degraded
from shortlist.errors import DeadlineExceeded
from shortlist.inference.users import NO_INTERACTIONS, IdHistory, UserQuery
from shortlist.live_histories.client import Cut, LiveClient, LiveFailed
from shortlist.observability import tracing
from shortlist.observability.throttled import Throttled
from shortlist.serving.coalescing import Coalescer
from shortlist.wire.request_check import RequestCheck

# A warning for each call would flood the log.
_THROTTLED = Throttled(logging.getLogger(__name__))
# The stages after this one need the rest of the deadline.
_SHARE = 0.2
# Other requests wait for this batch. A caller with a long deadline must not make them wait for a service that hangs.
_LONGEST_SECONDS = 0.25
# The histories of so many users fit into a message, however long their ids are.
_MOST_USERS = 16


class UserAsked(Protocol):
    """A query whose user may have a live history."""

    @property
    def user(self) -> UserQuery:
        """The user; nothing is live of one without an id."""

    @property
    def deadline(self) -> float:
        """The end of the call, in the seconds of ``time.monotonic``."""

    @property
    def min_position(self) -> int:
        """The position that the live history must have; 0 is any."""


@dataclass(frozen=True, kw_only=True)
class Live:
    """The interactions of a user since the bundle, as of ``position``; 0, and the reason, where they are missing.

    ``is_forgotten`` keeps everything out that the bundle knows of the user.
    """

    recorded: IdHistory = NO_INTERACTIONS
    position: int = 0
    degraded: Degraded | None = None
    is_forgotten: bool = False

    def of(self, user: UserQuery) -> UserQuery:
        """The user with these interactions."""
        if not (self.recorded or self.is_forgotten):
            return user
        return replace(user, recorded=self.recorded, is_forgotten=self.is_forgotten)


NOTHING_LIVE = Live()
_FORGOTTEN = Live(is_forgotten=True)


class LiveStage:
    """Calls the live service for one bundle. Thread-safe."""

    def __init__(self, bundle: Bundle, client: LiveClient) -> None:
        self._cut, self._forgets_until = Cut.of(bundle.manifest), bundle.manifest.forgets_until
        self._client, self._coalescer = client, Coalescer(self.find)

    def unasked(self, user: UserQuery) -> Live:
        """The knowledge of a user before an answer of the live service: whether they were forgotten.

        Everybody counts as forgotten until the service has read the list of forgotten users.
        """
        if not user.user_id:
            return NOTHING_LIVE
        position = self._client.forgotten.position_of(user.user_id, self._forgets_until)
        return _FORGOTTEN if position is None or position > self._forgets_until else NOTHING_LIVE

    def find(self, queries: Sequence[UserAsked]) -> list[Live]:
        """The live history of each query's user. Nothing is live of a query without a user id."""
        named = [query for query in queries if query.user.user_id]
        found = iter(self._ask(named))
        return [next(found) if query.user.user_id else NOTHING_LIVE for query in queries]

    def find_one(self, query: UserAsked, is_wanted: Callable[[], bool]) -> Live:
        """The live history of a query's user, in a call that it shares with those that wait meanwhile.

        Raises:
            CallerGone: the answer is not wanted any more when its turn comes.
        """
        if not query.user.user_id:
            return NOTHING_LIVE
        try:
            return self._coalescer(query, time.monotonic() + _seconds([query]), is_wanted)
        except DeadlineExceeded:
            return self._unavailable(query)

    def _unavailable(self, query: UserAsked) -> Live:
        return replace(self.unasked(query.user), degraded=Degraded.HISTORY_UNAVAILABLE)

    def _ask(self, queries: Sequence[UserAsked]) -> list[Live]:
        found: list[Live] = []
        try:
            while len(found) < len(queries):
                found += self._ask_once(queries[len(found) : len(found) + _MOST_USERS])
        except LiveFailed as failure:
            _THROTTLED.warning("live histories are missing: %s", failure)
            found += map(self._unavailable, queries[len(found) :])
        return found

    def _ask_once(self, queries: Sequence[UserAsked]) -> list[Live]:
        ids = [query.user.user_id for query in queries]
        with tracing.span("live"):
            given = self._client.histories(ids, self._cut, _seconds(queries))
        return [
            Live(
                recorded=recorded,
                position=given.position,
                degraded=Degraded.HISTORY_UNAVAILABLE if given.position < query.min_position else None,
                is_forgotten=forgotten > self._forgets_until,
            )
            for recorded, forgotten, query in zip(given.histories, given.forgotten, queries, strict=True)
        ]


def check_position(live: LiveStage | None, min_position: int) -> None:
    """Refuses a position where there is no live service.

    Raises:
        InvalidRequest: there is none, and the position is not 0.
    """
    if min_position and live is None:
        check = RequestCheck()
        check.require(False, "min_position", "is set, and this service was started without --live")
        check.done()


def _seconds(queries: Sequence[UserAsked]) -> float:
    left = max(query.deadline for query in queries) - time.monotonic()
    return max(0.0, min(left * _SHARE, _LONGEST_SECONDS))
