"""EventService: checks messages, translates them to events, and results to messages."""

import grpc

from live_service.event_check import EventCheck, check_id
from live_service.event_messages import event_message
from live_service.events import Event, Interaction, Outcome
from live_service.live_events import LiveEvents
from live_service.settings import Retention
from shortlist.errors import DeadlineExceeded, FieldViolation, InvalidRequest
from shortlist.limits import MAX_BATCH, MAX_BATCH_INTERACTIONS, MAX_EVENTS, MAX_HISTORY
from shortlist.live.v1 import event_service_pb2 as pb
from shortlist.live.v1.event_service_pb2_grpc import EventServiceServicer
from shortlist.observability import metrics
from shortlist.serving.deadlines import deadline_of, seconds_until
from shortlist.type.v1.user_pb2 import HistoryItem
from shortlist.wire.request_check import RequestCheck

# A message with twice as much is refused by its reader.
_PAGE_BYTES = 2 * 2**20
_NUMBERS = {outcome: pb.EventOutcome.Value(f"EVENT_OUTCOME_{outcome.name}") for outcome in Outcome}


class EventServicer(EventServiceServicer):
    """Translates between the wire and the store."""

    def __init__(self, live: LiveEvents, retention: Retention) -> None:
        self._live, self._check = live, EventCheck(retention)

    def RecordEvents(  # noqa: N802
        self, request: pb.RecordEventsRequest, context: grpc.ServicerContext
    ) -> pb.RecordEventsResponse:
        """Records events; the answer comes once they are on disk."""
        _check_record(request)
        read = [self._check.read(message) for message in request.events]
        events = [one for one in read if isinstance(one, Event)]
        try:
            recorded = self._live.record(events, seconds_until(deadline_of(context)))
        except TimeoutError as error:
            raise DeadlineExceeded("the events are not known to be on disk yet; send them again") from error
        response = pb.RecordEventsResponse(position=recorded.position)
        outcomes = iter(recorded.outcomes)
        for one in read:
            _add_status(response, one if isinstance(one, FieldViolation) else next(outcomes))
        return response

    def GetHistories(  # noqa: N802
        self, request: pb.GetHistoriesRequest, context: grpc.ServicerContext
    ) -> pb.GetHistoriesResponse:
        """Gives the histories of several users, all as of one position."""
        _check_histories(request)
        after = request.after.ToNanoseconds() if request.HasField("after") else None
        found = self._live.histories(
            request.user_ids, request.limit, after, request.after_position, request.min_position
        )
        response = pb.GetHistoriesResponse(position=found.position)
        for history, forgotten in zip(found.histories, found.forgotten, strict=True):
            add = response.histories.add(forgotten_position=forgotten).items.add
            for interaction in history:
                _fill(add(), interaction)
        return response

    def ForgetUser(self, request: pb.ForgetUserRequest, context: grpc.ServicerContext) -> pb.ForgetUserResponse:  # noqa: N802
        """Deletes everything that is recorded of a user."""
        check = RequestCheck()
        check_id(check, request.user_id, "user_id")
        check.done()
        forgotten = self._live.forget(request.user_id)
        return pb.ForgetUserResponse(deleted_event_count=forgotten.deleted, position=forgotten.position)

    def GetForgotten(  # noqa: N802
        self, request: pb.GetForgottenRequest, context: grpc.ServicerContext
    ) -> pb.GetForgottenResponse:
        """Lists the users who were forgotten, by keyed hashes."""
        check = RequestCheck()
        check.require(request.after_position >= 0, "after_position", "is negative")
        check.done()
        found = self._live.forgotten(request.after_position)
        response = pb.GetForgottenResponse(hash_key=found.hash_key, position=found.position, has_more=found.has_more)
        for user in found.users:
            one = response.users.add(user_hash=user.hash, position=user.position)
            one.time.FromNanoseconds(user.time)
        return response

    def ListEvents(self, request: pb.ListEventsRequest, context: grpc.ServicerContext) -> pb.ListEventsResponse:  # noqa: N802
        """Lists the events of all users, page by page."""
        check, size = RequestCheck(), request.page_size
        check.require(1 <= size <= MAX_EVENTS, "page_size", f"is {size}; has to be 1 to {MAX_EVENTS}")
        check.done()
        try:
            page = self._live.page(request.page_token, size)
        except ValueError as error:
            wrong = FieldViolation("page_token", "is none that this service has given")
            raise InvalidRequest((wrong,)) from error
        response, bytes_left = pb.ListEventsResponse(position=page.position), _PAGE_BYTES
        for one in page.events:
            message = event_message(one)
            bytes_left -= message.ByteSize()
            if response.events and bytes_left < 0:
                break
            response.events.append(message)
        # A page that is not full is the last one.
        if len(page.events) == size or bytes_left < 0:
            response.next_page_token = page.events[len(response.events) - 1].place
        return response


def _check_record(request: pb.RecordEventsRequest) -> None:
    check, count = RequestCheck(), len(request.events)
    check.require(1 <= count <= MAX_EVENTS, "events", f"has {count} events; has to have 1 to {MAX_EVENTS}")
    check.done()


def _check_histories(request: pb.GetHistoriesRequest) -> None:
    check, count = RequestCheck(), len(request.user_ids)
    check.require(1 <= count <= MAX_BATCH, "user_ids", f"has {count} ids; has to have 1 to {MAX_BATCH}")
    for place, user_id in enumerate(request.user_ids[:MAX_BATCH]):
        check_id(check, user_id, f"user_ids[{place}]")
    fits = 1 <= request.limit <= MAX_HISTORY
    check.require(fits, "limit", f"is {request.limit}; has to be 1 to {MAX_HISTORY}")
    together = count * request.limit
    check.require(
        together <= MAX_BATCH_INTERACTIONS,
        "limit",
        f"wants {together} interactions together; at most {MAX_BATCH_INTERACTIONS} are accepted",
    )
    check.require(request.min_position >= 0, "min_position", "is negative")
    check.require(request.after_position >= 0, "after_position", "is negative")
    seconds, nanos = request.after.seconds, request.after.nanos
    check.require(0 <= nanos < 1_000_000_000, "after.nanos", "has to be 0 to 999,999,999")
    check.require(abs(seconds) < 2**33, "after", "is out of range")
    check.done()


def _add_status(response: pb.RecordEventsResponse, outcome: Outcome | FieldViolation) -> None:
    if isinstance(outcome, FieldViolation):
        metrics.EVENTS["refused"].inc()
        response.statuses.add(outcome=pb.EVENT_OUTCOME_REFUSED, field=outcome.field, description=outcome.description)
        return
    metrics.EVENTS[outcome.name.lower()].inc()
    response.statuses.add(outcome=_NUMBERS[outcome])


def _fill(message: HistoryItem, interaction: Interaction) -> None:
    message.item_id, message.event = interaction.item_id, interaction.event
    message.time.seconds, message.time.nanos = divmod(interaction.time, 1_000_000_000)
    if interaction.value is not None:
        message.value = interaction.value
