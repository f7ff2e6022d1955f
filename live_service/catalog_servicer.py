"""CatalogService: checks messages, and translates them."""

from collections.abc import Iterator

import grpc

from live_service.event_check import check_id
from live_service.live_catalog import LiveCatalog
from shortlist.catalog.availability import item_message, read_availability
from shortlist.limits import MAX_LIMIT
from shortlist.live.v1 import catalog_service_pb2 as pb
from shortlist.live.v1.catalog_service_pb2_grpc import CatalogServiceServicer
from shortlist.serving.pools import answered_in
from shortlist.serving.streams import StreamPool
from shortlist.wire.request_check import RequestCheck

# One for each process that answers; each has a thread and a connection to the store.
_MOST_WATCHERS = 100
_MOST_SECONDS = 2**33


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
        position = self._catalog.set_availability(request.item_ids, read_availability(request.availability))
        return pb.SetAvailabilityResponse(position=position)

    def ListItems(self, request: pb.ListItemsRequest, context: grpc.ServicerContext) -> pb.ListItemsResponse:  # noqa: N802
        """Lists the items that are not simply available."""
        check = RequestCheck()
        check.limit(request.limit)
        check_id(check, request.after_item_id, "after_item_id", is_required=False)
        check.done()
        found = self._catalog.items(request.after_item_id, request.limit)
        return pb.ListItemsResponse(items=map(item_message, found.items), position=found.position)

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


def _check_availability(request: pb.SetAvailabilityRequest) -> None:
    check, count = RequestCheck(), len(request.item_ids)
    check.require(1 <= count <= MAX_LIMIT, "item_ids", f"has {count} ids; has to have 1 to {MAX_LIMIT}")
    for place, item_id in enumerate(request.item_ids[:MAX_LIMIT]):
        check_id(check, item_id, f"item_ids[{place}]")
    field, asked = "availability", request.availability
    check.require(request.HasField("availability"), field, "is unset; an empty one shows the items")
    for name in ("available_from", "available_until"):
        if asked.HasField(name):
            time = getattr(asked, name)
            check.require(0 <= time.nanos < 1_000_000_000, f"{field}.{name}.nanos", "has to be 0 to 999,999,999")
            check.require(0 <= time.seconds < _MOST_SECONDS, f"{field}.{name}", "is before 1970, or out of range")
            check.require(not asked.hidden, f"{field}.{name}", "is set for items that are hidden at all times")
    check.done()
    start, end = asked.available_from.ToNanoseconds(), asked.available_until.ToNanoseconds()
    both = asked.HasField("available_from") and asked.HasField("available_until")
    check.require(not both or start < end, f"{field}.available_until", "is not later than available_from")
    check.done()
