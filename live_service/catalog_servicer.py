"""CatalogService: checks messages, and translates them."""

from collections.abc import Iterator, Sequence

import grpc

from live_service.committed import Committed
from live_service.event_check import check_id
from live_service.item_change import ItemChange, deletion
from live_service.item_check import check_availability, read_put
from live_service.live_catalog import LiveCatalog
from shortlist.catalog_item import item_message, read_availability
from shortlist.errors import DeadlineExceeded, FieldViolation
from shortlist.limits import MAX_ITEMS
from shortlist.live.v1 import catalog_service_pb2 as pb
from shortlist.live.v1.catalog_service_pb2_grpc import CatalogServiceServicer
from shortlist.observability import metrics
from shortlist.serving.deadlines import deadline_of, seconds_until
from shortlist.serving.pools import answered_in
from shortlist.serving.streams import StreamPool
from shortlist.wire.request_check import RequestCheck

# One for each process that answers; each has a thread and a connection to the store.
_MOST_WATCHERS = 100


class CatalogServicer(CatalogServiceServicer):
    """Translates between the wire and the catalogue."""

    def __init__(self, catalog: LiveCatalog) -> None:
        self._catalog = catalog
        self.WatchChanges = answered_in(StreamPool(_MOST_WATCHERS, "watch"), self.WatchChanges)  # type: ignore[method-assign]

    def SetAvailability(  # noqa: N802
        self, request: pb.SetAvailabilityRequest, context: grpc.ServicerContext
    ) -> pb.SetAvailabilityResponse:
        """Says when items may be shown; the answer comes once that is on disk."""
        _check_availability(request)
        availability = read_availability(request.availability)
        changes = [ItemChange(item_id=item_id, availability=availability) for item_id in request.item_ids]
        return pb.SetAvailabilityResponse(position=self._change(changes, context).position)

    def UpsertItems(self, request: pb.UpsertItemsRequest, context: grpc.ServicerContext) -> pb.UpsertItemsResponse:  # noqa: N802
        """Stores the content of items; the answer comes once it is on disk."""
        check = RequestCheck()
        _check_count(check, len(request.items), "items", "items")
        check.done()
        read = [read_put(message) for message in request.items]
        committed = self._change([one for one in read if isinstance(one, ItemChange)], context)
        response = pb.UpsertItemsResponse(position=committed.position)
        outcomes = iter(committed.outcomes)
        for one in read:
            _add_status(response, one if isinstance(one, FieldViolation) else next(outcomes))
        return response

    def DeleteItems(self, request: pb.DeleteItemsRequest, context: grpc.ServicerContext) -> pb.DeleteItemsResponse:  # noqa: N802
        """Deletes the content of items, and hides them; the answer comes once that is on disk."""
        check = RequestCheck()
        _check_ids(check, request.item_ids)
        check.done()
        return pb.DeleteItemsResponse(position=self._change([*map(deletion, request.item_ids)], context).position)

    def ListItems(self, request: pb.ListItemsRequest, context: grpc.ServicerContext) -> pb.ListItemsResponse:  # noqa: N802
        """Lists the items that have content, are deleted or are not simply available."""
        check = RequestCheck()
        check.limit(request.limit)
        check_id(check, request.after_item_id, "after_item_id", is_required=False)
        check.done()
        found = self._catalog.items(request.after_item_id, request.limit)
        items = map(item_message, found.items)
        return pb.ListItemsResponse(items=items, position=found.position, has_more=not found.is_current)

    def WatchChanges(  # noqa: N802
        self, request: pb.WatchChangesRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchChangesResponse]:
        """Tells the changes since a position, until the caller has gone."""
        check = RequestCheck()
        check.require(request.from_position >= 0, "from_position", "is negative")
        check.done()
        # Else the thread of a caller who has gone waits on.
        context.add_callback(self._catalog.wake)
        store_id = self._catalog.store_id
        for told in self._catalog.watch(request.store_id, request.from_position, context.is_active):
            yield pb.WatchChangesResponse(
                items=map(item_message, told.changes.items),
                position=told.changes.position,
                store_id=store_id,
                begins=told.begins,
                is_current=told.changes.is_current,
            )

    def _change(self, changes: Sequence[ItemChange], context: grpc.ServicerContext) -> Committed[bool]:
        try:
            return self._catalog.change(changes, seconds_until(deadline_of(context)))
        except TimeoutError as error:
            raise DeadlineExceeded("the change is not known to be on disk yet; send it again") from error


def _check_availability(request: pb.SetAvailabilityRequest) -> None:
    check = RequestCheck()
    _check_ids(check, request.item_ids)
    check.require(request.HasField("availability"), "availability", "is unset; an empty one shows the items")
    check_availability(check, request.availability, "availability")
    check.done()


def _check_ids(check: RequestCheck, item_ids: Sequence[str]) -> None:
    _check_count(check, len(item_ids), "item_ids", "ids")
    for place, item_id in enumerate(item_ids[:MAX_ITEMS]):
        check_id(check, item_id, f"item_ids[{place}]")


def _check_count(check: RequestCheck, count: int, field: str, things: str) -> None:
    check.require(1 <= count <= MAX_ITEMS, field, f"has {count} {things}; has to have 1 to {MAX_ITEMS}")


def _add_status(response: pb.UpsertItemsResponse, outcome: bool | FieldViolation) -> None:
    if isinstance(outcome, FieldViolation):
        metrics.ITEMS["refused"].inc()
        response.statuses.add(outcome=pb.ITEM_OUTCOME_REFUSED, field=outcome.field, description=outcome.description)
        return
    metrics.ITEMS["stored" if outcome else "unchanged"].inc()
    response.statuses.add(outcome=pb.ITEM_OUTCOME_STORED if outcome else pb.ITEM_OUTCOME_UNCHANGED)
