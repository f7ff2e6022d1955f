"""The client of the live service's catalogue: one for a process, shared by its threads."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from shortlist.catalog_item import Availability, CatalogItem, availability_message, read_item
from shortlist.client.arguments import Id, read_ids, read_list
from shortlist.client.item_messages import Item, StoredItems, put_message, read_statuses
from shortlist.client.live_client import PLAINTEXT, LiveClient
from shortlist.limits import DEFAULT_TIMEOUT_SECONDS, MAX_ITEMS
from shortlist.live.v1 import catalog_service_pb2 as pb
from shortlist.live.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.security.settings import ClientSecurity

# A message of twice as much is refused.
_CALL_BYTES = 2 * 2**20


class CatalogClient(LiveClient[CatalogServiceStub]):
    """Calls the catalogue of a live service, such as ``CatalogClient("dns:///live:50053")``. Thread-safe.

    Every call has a deadline, ``timeout`` in seconds. A call that reaches no server is tried again, up to four times
    and within its deadline. ``security`` has the caller's credentials. A method takes any number of items, and makes
    as many calls as they need. After an error, the first of them may be done; do all again.

    Every method raises TypeError for an argument of another type, and ShortlistError as :class:`Recommender` does.
    """

    def __init__(
        self, target: str, *, timeout: float = DEFAULT_TIMEOUT_SECONDS, security: ClientSecurity = PLAINTEXT
    ) -> None:
        super().__init__(target, "CatalogService", CatalogServiceStub, timeout, security)

    def put_items(self, items: Iterable[Item]) -> StoredItems:
        """Stores the content of items, in place of any former one; it is on disk when it returns.

        A bad item is refused by itself, and the others are stored: look at the statuses.
        """
        stored = StoredItems(position=0, statuses=())
        messages = [put_message(item, f"items[{place}]") for place, item in enumerate(read_list(items, "items"))]
        for some in _calls(messages):
            response = self._call(lambda stub: stub.UpsertItems, pb.UpsertItemsRequest(items=some), None)
            statuses = (*stored.statuses, *read_statuses(some, response))
            stored = StoredItems(position=response.position, statuses=statuses)
        return stored

    def delete_items(self, item_ids: Iterable[Id]) -> int:
        """Deletes the content of items, and keeps them out of every list until they are put again; the position."""
        position = 0
        for some in _by_number(read_ids(item_ids, "item_ids")):
            position = self._call(lambda stub: stub.DeleteItems, pb.DeleteItemsRequest(item_ids=some), None).position
        return position

    def set_availability(self, item_ids: Iterable[Id], availability: Availability) -> int:
        """Says when items may be shown; returns the position."""
        position = 0
        for some in _by_number(read_ids(item_ids, "item_ids")):
            request = pb.SetAvailabilityRequest(item_ids=some, availability=availability_message(availability))
            position = self._call(lambda stub: stub.SetAvailability, request, None).position
        return position

    def items(self) -> Iterator[CatalogItem]:
        """The items that have content, are deleted or are not simply shown, in the order of their ids."""
        after, has_more = "", True
        while has_more:
            request = pb.ListItemsRequest(limit=MAX_ITEMS, after_item_id=after)
            found = self._call(lambda stub: stub.ListItems, request, None)
            yield from map(read_item, found.items)
            has_more = found.has_more
            after = found.items[-1].item_id if found.items else after


def _by_number(item_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(item_ids), MAX_ITEMS):
        yield item_ids[start : start + MAX_ITEMS]


def _calls(messages: Iterable[pb.Item]) -> Iterator[Sequence[pb.Item]]:
    """Items by the call, each as many as fit."""
    some, size = list[pb.Item](), 0
    for message in messages:
        bytes_more = message.ByteSize()
        if some and (len(some) == MAX_ITEMS or size + bytes_more > _CALL_BYTES):
            yield some
            some, size = [], 0
        some.append(message)
        size += bytes_more
    if some:
        yield some
