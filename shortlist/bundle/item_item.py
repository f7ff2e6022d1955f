"""Two item-item tables, co-occurrence and SLIM, and the ranker's features of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.item_item_table import Cells, ItemItemTable, Steps

# The weights of a pair (earlier item, later item), in the co-occurrence table and in the SLIM table.
FOLLOWS, LIKED_AFTER = range(2)
HAD, LIKED = range(2)
PAIR_WEIGHTS = 2
# The features of each table.
COOCCURRENCE, SLIM = slice(0, 4), slice(4, 7)
FEATURE_COUNT = SLIM.stop
HISTORY_STEPS = 50
# Old interactions hardly predict the next item, but they do show a user's tastes. So SLIM looks back further.
_COOCCURRENCE_STEPS = 20
_DECAYS = 0.8 ** np.arange(_COOCCURRENCE_STEPS, dtype=np.float32)
# One feature as sums: the candidate's cell and the amount to add, both ``[found]``.
_Amounts = tuple[NDArray[np.int64], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class ItemItemTables:
    """Co-occurrence within a window, and SLIM weights (Ning and Karypis, ICDM 2011).

    Both tables have weights ``[pairs, 2]``. In ``cooccurrence``, the first is the probability that the later item
    follows within the window; the second, that it follows and is liked. In ``slim``, an interaction with the earlier
    item adds the first to the later item's score. It adds the second to the score of liking it.
    """

    cooccurrence: ItemItemTable
    slim: ItemItemTable

    @property
    def empty(self) -> bool:
        """Whether both tables are empty, so that every feature is zero."""
        return not len(self.cooccurrence.rows) and not len(self.slim.rows)

    def features(
        self,
        histories: Sequence[NDArray[np.int32]],
        values: Sequence[NDArray[np.float32]],
        candidates: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Scores of how well each candidate continues the user's history, ``[users, candidates, FEATURE_COUNT]``.

        ``histories`` are item rows, oldest first; only the last ``HISTORY_STEPS`` count. ``values`` are their
        standardised values, 0 where unknown. ``candidates`` ``[users, candidates]`` are rows, distinct for each user.
        """
        cells = Cells(candidates)
        found = np.empty((cells.size, FEATURE_COUNT), dtype=np.float32)
        continued = self._cooccurrence_features(cells, Steps.of(histories, values, _COOCCURRENCE_STEPS))
        slim = self._slim_features(cells, Steps.of(histories, values, HISTORY_STEPS))
        for place, (cell, amounts) in enumerate([*continued, *slim]):
            found[:, place] = np.bincount(cell, weights=amounts, minlength=cells.size)
        return found.reshape(*candidates.shape, FEATURE_COUNT)

    def _cooccurrence_features(self, cells: Cells, steps: Steps) -> Iterator[_Amounts]:
        """Four sums: over the last step, over all steps with decay, over all steps, and over likes with decay."""
        pairs = self.cooccurrence.among(cells, steps)
        follows, liked = pairs.weights[:, FOLLOWS], pairs.weights[:, LIKED_AFTER]
        back = steps.back.take(pairs.step)
        decay = _DECAYS.take(back)
        for amounts in (follows * (back == 0), follows * decay, follows, liked * decay):
            yield pairs.cell, amounts

    def _slim_features(self, cells: Cells, steps: Steps) -> Iterator[_Amounts]:
        """Three sums over all steps: scores, scores of liking, and scores of liking times the step's value."""
        pairs = self.slim.among(cells, steps)
        had, liked = pairs.weights[:, HAD], pairs.weights[:, LIKED]
        for amounts in (had, liked, liked * steps.values.take(pairs.step)):
            yield pairs.cell, amounts
