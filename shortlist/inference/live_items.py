"""The items of the live catalogue that a bundle does not have, in rows behind its own.

Legend of shapes: N live items, D vector components, F item features, n rows.
"""

import itertools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.ids import rows_of
from shortlist.bundle.tables import ItemTables
from shortlist.errors import InvalidRequest
from shortlist.inference.candidates import Candidates
from shortlist.inference.hidden_rows import HiddenRows
from shortlist.inference.selection import best_first
from shortlist.observability import metrics
from shortlist.observability.throttled import Throttled

_THROTTLED = Throttled(logging.getLogger(__name__))
_FIRST_CAPACITY = 1024
_DESCRIBED_AT_ONCE = 50
# A scan of so many takes as long as a search of a large index. Beyond, a new bundle is due.
MOST_LIVE_ITEMS = 50_000
# Far above the error of an inner product in 32 bits, relative to the score or the vector.
_ROUNDING = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class Description:
    """An item as the models read it: its ``vector`` ``[D]``, zeros where none is known, and ``features`` ``[F]``."""

    vector: NDArray[np.float32]
    features: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Queued:
    """Content that is to be described, and the position of the catalogue with which it came."""

    content: bytes
    position: int


Describe = Callable[[bytes], Description]
"""From the content of an item to its description. Raises InvalidRequest where the bundle cannot read it."""


class LiveItems:
    """The live items of one bundle. A row is one item's for as long as the bundle is served, and never another's.

    One thread changes it while others read. A reader may see a part of a change, and sees the rest a moment later.
    """

    def __init__(self, items: ItemTables, describe: Describe) -> None:
        self.hidden = HiddenRows(items.ids)
        """The hidden rows of the bundle and of these items."""
        self._items, self._describe = items, describe
        self._start = len(items.ids)
        self._ids: list[str] = []
        self._id_bytes: list[bytes] = []
        self._rows: dict[str, int] = {}
        self.hidden.live = self._rows
        # The position of the catalogue with which each item last came.
        self._came: dict[str, int] = {}
        self._queued: dict[str, Queued] = {}
        self._vectors = np.zeros((0, items.vectors.shape[1]), dtype=np.float32)
        self._features = np.zeros((0, items.features.shape[1]), dtype=np.float32)
        self._nothing = Description(
            vector=np.zeros(items.vectors.shape[1], dtype=np.float32),
            features=np.zeros(items.features.shape[1], dtype=np.float32),
        )
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def queue(self, contents: Mapping[str, bytes], position: int) -> None:
        """Keeps the content of items that the bundle does not have, to be described; see :meth:`next_queued`.

        Content that came with a later position stays.
        """
        ids = [*contents]
        for item_id, row in zip(ids, rows_of(self._items.ids, ids).tolist(), strict=True):
            if row < 0 and self._came.get(item_id, 0) <= position:
                self._came[item_id] = position
                self._queued[item_id] = Queued(content=contents[item_id], position=position)

    def next_queued(self) -> Mapping[str, Queued]:
        """Takes some content that is to be described: a moment's work."""
        taken = dict(itertools.islice(self._queued.items(), _DESCRIBED_AT_ONCE))
        for item_id in taken:
            del self._queued[item_id]
        return taken

    def described(self, item_id: str, queued: Queued) -> Description:
        """The description of an item; zeros where the bundle cannot describe it, so that no list has it."""
        try:
            return self._describe(queued.content)
        except InvalidRequest as error:
            metrics.LIVE_ITEMS_REFUSED["unreadable"].inc()
            _THROTTLED.warning("no list has the item %.100r, which the bundle cannot describe: %s", item_id, error)
            return self._nothing

    def put(self, item_id: str, described: Description, *, position: int, is_hidden: bool) -> None:
        """Gives an item its vector and features, and its row when it is new, unless later content has come since."""
        if self._came.get(item_id) != position:
            return
        row = self._rows.get(item_id)
        if row is None and self._count == MOST_LIVE_ITEMS:
            metrics.LIVE_ITEMS_REFUSED["full"].inc()
            _THROTTLED.warning("%d live items are the most; train a bundle that has them", MOST_LIVE_ITEMS)
            return
        at = self._count if row is None else row - self._start
        if at == len(self._vectors):
            self._grow(max(_FIRST_CAPACITY, 2 * at))
        self._vectors[at], self._features[at] = described.vector, described.features
        if row is None:
            self.hidden.change_row(self._start + at, hidden=is_hidden)
            # Last, so that no reader sees a row without its arrays, or one that should be hidden.
            self._ids.append(item_id)
            self._id_bytes.append(item_id.encode())
            self._rows[item_id] = self._start + at
            self._count += 1

    def begin(self) -> None:
        """Forgets positions and queued content, because the catalogue begins again."""
        self._came.clear()
        self._queued.clear()

    @property
    def ids(self) -> Set[str]:
        """The ids of all of them."""
        return self._rows.keys()

    def rows_of(self, item_ids: Iterable[str]) -> NDArray[np.int64]:
        """The row of each id ``[n]``, -1 for one that is no live item."""
        return np.array([self._rows.get(item_id, -1) for item_id in item_ids], dtype=np.int64)

    def are_live(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the rows ``[n]`` are of live items, ``[n]``."""
        live: NDArray[np.bool_] = rows >= self._start
        return live

    def id_of(self, row: int) -> str:
        """The id of a live row."""
        return self._ids[row - self._start]

    def id_bytes_of(self, rows: NDArray[np.int64]) -> list[bytes]:
        """The ids of rows ``[n]`` of the bundle and of live items as messages hold them, in UTF-8."""
        live = np.flatnonzero(self.are_live(rows))
        if not len(live):
            return self._items.id_bytes_of(rows)
        found = self._items.id_bytes_of(np.minimum(rows, self._start - 1))
        for place, row in zip(live.tolist(), (rows[live] - self._start).tolist(), strict=True):
            found[place] = self._id_bytes[row]
        return found

    def split(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[str]]:
        """The rows of the bundle among ascending ones, and the ids of the others."""
        count = int(np.searchsorted(rows, self._start))
        return rows[:count], [self.id_of(row) for row in rows[count:].tolist()]

    def on_wire(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[str]]:
        """The rows ``[n]`` for another process, the i-th live one as the i-th behind the bundle's; and their ids."""
        live = self.are_live(rows)
        if not live.any():
            return rows, []
        numbered = rows.copy()
        numbered[live] = self._start + np.arange(np.count_nonzero(live))
        return numbered, [self.id_of(row) for row in rows[live].tolist()]

    def from_wire(self, rows: NDArray[np.int64], ids: Sequence[str]) -> NDArray[np.int64]:
        """The rows ``[n]`` of a pair of :meth:`on_wire` in this process, -1 for live items that it does not know."""
        live = self.are_live(rows)
        found = rows.copy()
        found[live] = self.rows_of(ids).take(rows[live] - self._start)
        return found

    def vectors_of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors ``[n, D]`` of rows ``[n]`` of the bundle and of live items."""
        live = self.are_live(rows)
        if not live.any():
            return self._items.vectors_of(rows)
        vectors = self._items.vectors_of(np.where(live, 0, rows))
        vectors[live] = self._vectors.take(rows[live] - self._start, axis=0)
        return vectors

    def features_of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The features ``[n, F]`` of live rows."""
        return self._features.take(rows - self._start, axis=0)

    def merged(
        self, found: Sequence[Candidates], vectors: NDArray[np.float32], counts: Sequence[int]
    ) -> list[Candidates]:
        """For each query, the ``counts[i]`` best of its candidates of an index, best first, and of the live items.

        All live items that are not hidden are compared with its vector of ``[queries, D]``.
        """
        likely = self._vectors[: self._count] @ vectors.T
        lines = np.ascontiguousarray(likely.T)
        return [self._merged(*one) for one in zip(found, vectors, lines, counts, strict=True)]

    def _merged(
        self, found: Candidates, vector: NDArray[np.float32], likely: NDArray[np.float32], count: int
    ) -> Candidates:
        # Mostly few live items are among the best, and only these are looked at.
        least = found.scores[-1] if len(found) >= count else -np.inf
        slack = _ROUNDING * max(abs(least), float(np.linalg.norm(vector))) if len(found) else 0.0
        rows = self.hidden.shown(np.flatnonzero(likely > least - slack) + self._start)
        if not len(rows):
            return found
        # The product of matrices rounds a query's scores by the rest of its batch; these depend on the query alone.
        scores = np.einsum("nd,d->n", self._vectors.take(rows - self._start, axis=0), vector)
        # A vector of zeros is of an item that no model can choose.
        better = (scores > least) & (scores != 0)
        both = found.then(Candidates.from_model(rows[better], scores[better]))
        return both.take(best_first(both.scores, count))

    def _grow(self, capacity: int) -> None:
        self._vectors = _grown(self._vectors, capacity)
        self._features = _grown(self._features, capacity)
        self.hidden.grow(self._start + capacity)


def _grown(array: NDArray[np.float32], capacity: int) -> NDArray[np.float32]:
    grown = np.zeros((capacity, array.shape[1]), dtype=np.float32)
    grown[: len(array)] = array
    return grown
