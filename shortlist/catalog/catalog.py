"""The items that may not be shown now, as the live service says, and their rows in each served bundle."""

import heapq
import threading
import time
from collections.abc import Mapping
from weakref import WeakSet

from shortlist.bundle.tables import ItemTables
from shortlist.catalog_item import ALWAYS, Availability, read_shown
from shortlist.inference.hidden_rows import HiddenRows
from shortlist.live.v1 import catalog_service_pb2 as pb
from shortlist.observability import metrics


class Catalog:
    """Hidden items by id: a row number means another item in another bundle. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hidden: set[str] = set()
        # Items that will be hidden or shown later; and those moments, with some that a later word has made void.
        self._timed: dict[str, Availability] = {}
        self._due: list[tuple[int, str]] = []
        # A state that arrives from the beginning counts once it is whole.
        self._arriving: dict[str, Availability] | None = None
        self._of_bundles: WeakSet[HiddenRows] = WeakSet()
        self._place = "", 0
        self._is_known = threading.Event()

    @property
    def place(self) -> tuple[str, int]:
        """The store, and the position in it, up to which all changes are known."""
        return self._place

    def wait(self, seconds: float) -> bool:
        """Waits until the state of the store is known; whether it is."""
        return self._is_known.wait(seconds)

    def hidden_rows(self, items: ItemTables) -> HiddenRows:
        """The hidden rows of a bundle, which follow the changes as long as somebody holds them."""
        rows = HiddenRows(items.ids)
        with self._lock:
            rows.change([*self._hidden], hidden=True)
            self._of_bundles.add(rows)
        return rows

    def take(self, message: pb.WatchChangesResponse) -> None:
        """Applies a message of the live service."""
        items = {item.item_id: read_shown(item) for item in message.items}
        with self._lock:
            if message.begins:
                self._arriving = {}
            if self._arriving is not None:
                self._arriving |= items
                if not message.is_current:
                    return
                items = dict.fromkeys(self._hidden | self._timed.keys(), ALWAYS) | self._arriving
                self._arriving = None
            self._apply(items)
            self._place = message.store_id, message.position
        if message.is_current:
            self._is_known.set()

    def drop_incomplete(self) -> None:
        """Forgets a state whose end did not come; the last whole one stays."""
        with self._lock:
            self._arriving = None

    def pass_time(self) -> None:
        """Hides and shows the items whose moment has come."""
        now = time.time_ns()
        with self._lock:
            if not self._due or self._due[0][0] > now:
                return
            due = set[str]()
            while self._due and self._due[0][0] <= now:
                due.add(heapq.heappop(self._due)[1])
            self._apply({item_id: self._timed[item_id] for item_id in due & self._timed.keys()})

    def _apply(self, items: Mapping[str, Availability]) -> None:
        now = time.time_ns()
        hidden = {item_id for item_id, availability in items.items() if availability.hides_at(now)}
        shown = items.keys() - hidden
        self._hidden = (self._hidden | hidden) - shown
        for rows in self._of_bundles:
            rows.change([*hidden], hidden=True)
            rows.change([*shown], hidden=False)
        for item_id, availability in items.items():
            self._plan(item_id, availability, now)
        metrics.HIDDEN_ITEMS.set(len(self._hidden))

    def _plan(self, item_id: str, availability: Availability, now: int) -> None:
        moment = availability.next_change(now)
        if moment is None:
            self._timed.pop(item_id, None)
        else:
            self._timed[item_id] = availability
            heapq.heappush(self._due, (moment, item_id))
