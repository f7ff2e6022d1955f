"""The items that may not be shown now and those that are new, as the live service says, in rows of each bundle."""

import heapq
import threading
import time
from collections.abc import Mapping
from weakref import WeakSet

from shortlist.bundle.tables import ItemTables
from shortlist.catalog_item import ALWAYS, Availability, content_bytes, read_shown
from shortlist.inference.hidden_rows import HiddenRows
from shortlist.inference.live_items import Describe, LiveItems
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
        self._live_items: WeakSet[LiveItems] = WeakSet()
        # Counts the states from the beginning on.
        self._state = 0
        self._place = "", 0
        self._is_known, self._has_queued = threading.Event(), threading.Event()

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

    def live_items(self, items: ItemTables, describe: Describe) -> LiveItems:
        """The live items of a bundle, which follow the changes from now on; :meth:`replay` gives it former ones."""
        made = LiveItems(items, describe)
        with self._lock:
            made.hidden.change([*self._hidden], hidden=True)
            self._of_bundles.add(made.hidden)
            self._live_items.add(made)
        return made

    def replay(self, live_items: LiveItems, message: pb.WatchChangesResponse) -> None:
        """Gives live items a message of the state from the beginning on, which further changes may overtake."""
        with self._lock:
            live_items.queue(_contents(message), message.position)

    def describe(self, live_items: LiveItems) -> bool:
        """Describes some live items that wait for it; whether there were any.

        They may be shown from then on, so none is described while it is unknown which items are hidden.
        """
        with self._lock:
            is_known = self._is_known.is_set() and self._arriving is None
            queued = live_items.next_queued() if is_known else {}
            state = self._state
        # Without the lock, for a change of the catalogue must not wait.
        described = {item_id: live_items.described(item_id, one) for item_id, one in queued.items()}
        with self._lock:
            if state == self._state:
                for item_id, description in described.items():
                    position, is_hidden = queued[item_id].position, item_id in self._hidden
                    live_items.put(item_id, description, position=position, is_hidden=is_hidden)
            metrics.LIVE_ITEMS.set(max(map(len, self._live_items), default=0))
        return bool(queued)

    def describe_all(self, seconds: float) -> None:
        """Waits for content for so long, and describes all live items that wait for it."""
        self._has_queued.wait(seconds)
        self._has_queued.clear()
        with self._lock:
            of_bundles = [*self._live_items]
        for live_items in of_bundles:
            while self.describe(live_items):
                pass

    def forget_place(self) -> None:
        """Makes the next call begin at the beginning."""
        with self._lock:
            self._place = "", 0

    def take(self, message: pb.WatchChangesResponse) -> None:
        """Applies a message of the live service."""
        items = {item.item_id: read_shown(item) for item in message.items}
        contents = _contents(message) if self._live_items else {}
        with self._lock:
            if message.begins:
                self._arriving = {}
                self._state += 1
                for live_items in self._live_items:
                    live_items.begin()
            for live_items in self._live_items:
                live_items.queue(contents, message.position)
            if self._arriving is not None:
                self._arriving |= items
                if not message.is_current:
                    return
                for live_items in self._live_items:
                    live_items.hidden.change([*live_items.ids - self._arriving.keys()], hidden=True)
                items = dict.fromkeys(self._hidden | self._timed.keys(), ALWAYS) | self._arriving
                self._arriving = None
            self._apply(items)
            self._place = message.store_id, message.position
        if message.is_current:
            self._is_known.set()
        if contents or message.begins:
            self._has_queued.set()

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


def _contents(message: pb.WatchChangesResponse) -> dict[str, bytes]:
    return {item.item_id: content_bytes(item.content) for item in message.items if item.HasField("content")}
