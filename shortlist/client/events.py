"""The client of the live service: one for a process, shared by its threads."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

from collections.abc import Sequence

from shortlist.client.arguments import Id, read_count, read_id
from shortlist.client.event_messages import (
    Event,
    Forgotten,
    Recorded,
    RecordedHistory,
    read_recorded,
    read_recorded_history,
    record_request,
)
from shortlist.client.live_client import PLAINTEXT, LiveClient
from shortlist.forgotten_list import Forgetting, ForgottenList
from shortlist.limits import DEFAULT_TIMEOUT_SECONDS
from shortlist.live.v1 import event_service_pb2 as pb
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from shortlist.security.settings import ClientSecurity

_DEFAULT_HISTORY = 100


class EventClient(LiveClient[EventServiceStub]):
    """Calls a live service, such as ``EventClient("dns:///live:50053")``. Thread-safe.

    Every call has a deadline, ``timeout`` in seconds. A call that reaches no server is tried again, up to four times
    and within its deadline. ``security`` has the caller's credentials.

    Every method raises TypeError for an argument of another type, and ShortlistError as :class:`Recommender` does.
    """

    def __init__(
        self, target: str, *, timeout: float = DEFAULT_TIMEOUT_SECONDS, security: ClientSecurity = PLAINTEXT
    ) -> None:
        super().__init__(target, "EventService", EventServiceStub, timeout, security)

    def record_events(self, events: Sequence[Event], *, timeout: float | None = None) -> Recorded:
        """Records 1 to 1000 events; those that are recorded are on disk when it returns.

        A bad event is refused by itself, and the others are recorded: look at the statuses. After an error the events
        may be recorded or not. The same events again, with the same ids, are recorded once.
        """
        request = record_request(events)
        return read_recorded(request, self._call(lambda stub: stub.RecordEvents, request, timeout))

    def history(
        self, user_id: Id, *, limit: int = _DEFAULT_HISTORY, min_position: int = 0, timeout: float | None = None
    ) -> RecordedHistory:
        """The latest ``limit`` recorded interactions of a user, oldest first, without those taken back.

        ``min_position`` is the position that the live service must have reached; else it is Unavailable.
        """
        request = pb.GetHistoriesRequest(
            user_ids=[read_id(user_id, "user_id")], limit=read_count(limit, "limit"), min_position=min_position
        )
        return read_recorded_history(self._call(lambda stub: stub.GetHistories, request, timeout))

    def forget(self, user_id: Id, *, timeout: float | None = None) -> Forgotten:
        """Deletes all events of a user, and keeps bundles' histories of the user out of every further list."""
        request = pb.ForgetUserRequest(user_id=read_id(user_id, "user_id"))
        response = self._call(lambda stub: stub.ForgetUser, request, timeout)
        return Forgotten(deleted=response.deleted_event_count, position=response.position)

    def forgotten(self, *, timeout: float | None = None) -> ForgottenList:
        """The list of forgotten users, for the trainer and for ``shortlist bundles gc``."""
        users: dict[bytes, Forgetting] = {}
        position = 0
        while True:
            request = pb.GetForgottenRequest(after_position=position)
            response = self._call(lambda stub: stub.GetForgotten, request, timeout)
            for user in response.users:
                users[user.user_hash] = Forgetting(position=user.position, time=user.time.ToNanoseconds())
            position = response.position
            if not response.has_more:
                return ForgottenList(position=position, hash_key=response.hash_key, users=users)
