"""What goes with what a user did: two item-to-item tables, and the features that the ranker makes of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.item_item_table import Cells, ItemItemTable, Steps

# What is known of a pair (earlier item, later item): of followers, and of what is similar.
FOLLOWS, LIKED_AFTER = range(2)
HAD, LIKED = range(2)
PAIR_WEIGHTS = 2
# The features of either table.
COOCCURRENCE, SLIM = slice(0, 4), slice(4, 7)
FEATURE_COUNT = SLIM.stop
HISTORY_STEPS = 50
# What came long ago hardly says what comes next, but does say what a user cares for.
_COOCCURRENCE_STEPS = 20
_DECAYS = 0.8 ** np.arange(_COOCCURRENCE_STEPS, dtype=np.float32)
# For each candidate that is found, its place among all, and what is added to one feature.
_Amounts = tuple[NDArray[np.int64], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class ItemItemTables:
    """What follows an item, and what those who have it have as well, and like.

    The weights of ``followers`` ``[pairs, 2]`` are P(next within the window) and P(next and liked); those of
    ``similar`` ``[pairs, 2]`` what having the one adds to the expectation that the other is had, and that it is liked.
    """

    cooccurrence: ItemItemTable
    similar: ItemItemTable

    @property
    def empty(self) -> bool:
        """Whether it knows of no pair, so that every feature is zero."""
        return not len(self.cooccurrence.rows) and not len(self.similar.rows)

    def features(
        self,
        histories: Sequence[NDArray[np.int32]],
        values: Sequence[NDArray[np.float32]],
        candidates: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """How well each user's candidates continue their history, ``[users, candidates, FEATURE_COUNT]``.

        ``histories`` are item rows, oldest first, of which the last ``HISTORY_STEPS`` count; ``values`` are their
        standardised values (0 where unknown); ``candidates`` ``[users, candidates]`` are distinct rows for each user.
        """
        cells = Cells(candidates)
        found = np.empty((cells.size, FEATURE_COUNT), dtype=np.float32)
        continued = self._cooccurrence_features(cells, Steps.of(histories, values, _COOCCURRENCE_STEPS))
        slim = self._slim_features(cells, Steps.of(histories, values, HISTORY_STEPS))
        for place, (cell, amounts) in enumerate([*continued, *slim]):
            found[:, place] = np.bincount(cell, weights=amounts, minlength=cells.size)
        return found.reshape(*candidates.shape, FEATURE_COUNT)

    def _cooccurrence_features(self, cells: Cells, steps: Steps) -> Iterator[_Amounts]:
        """After the last step, after all with less weight for each further back, after all, and so for the liked."""
        pairs = self.cooccurrence.among(cells, steps)
        follows, liked = pairs.weights[:, FOLLOWS], pairs.weights[:, LIKED_AFTER]
        back = steps.back.take(pairs.step)
        decay = _DECAYS.take(back)
        for amounts in (follows * (back == 0), follows * decay, follows, liked * decay):
            yield pairs.cell, amounts

    def _slim_features(self, cells: Cells, steps: Steps) -> Iterator[_Amounts]:
        """What all steps add up to, and so for the liked, as they are and where each counts by its value."""
        pairs = self.similar.among(cells, steps)
        had, liked = pairs.weights[:, HAD], pairs.weights[:, LIKED]
        for amounts in (had, liked, liked * steps.values.take(pairs.step)):
            yield pairs.cell, amounts
