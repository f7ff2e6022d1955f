"""Searches an index for items that are not hidden."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval_service.index import FaissIndex
from shortlist.inference.candidates import NO_CANDIDATES, Candidates
from shortlist.inference.hidden_rows import HiddenRows

# A search finds more hidden items than their share of the catalogue: by chance up to so many standard deviations, and
# by taste any number. Then it is repeated for more items.
_DEVIATIONS = 3.0
_DEEPER = 2


class VisibleSearch:
    """Searches for more items than asked for, and leaves out the hidden ones.

    FAISS's own selectors keep ``nprobe`` and ``efSearch``, so that they find fewer of the nearest items the more are
    hidden. Some indexes drop them without a word.
    """

    def __init__(self, index: FaissIndex, hidden: HiddenRows) -> None:
        self._index, self._hidden = index, hidden

    def search_each(self, vectors: NDArray[np.float32], counts: Sequence[int]) -> list[Candidates]:
        """The ``counts[i]`` nearest items to ``vectors[i]`` that are not hidden, or fewer when there are no more."""
        if not self._hidden.count:
            return self._index.search_each(vectors, counts)
        asked, found = [*map(self._with_hidden, counts)], [NO_CANDIDATES] * len(counts)
        places = [*range(len(counts))]
        while places:
            nearest = self._index.search_each(vectors[places], [asked[place] for place in places])
            short = []
            for place, candidates in zip(places, nearest, strict=True):
                shown = self._hidden.shown_of(candidates)
                found[place] = shown.first(counts[place])
                if len(shown) < min(counts[place], len(candidates)) and asked[place] < self._index.size:
                    short.append(place)
                    asked[place] *= _DEEPER
            places = short
        return found

    def _with_hidden(self, count: int) -> int:
        """How many items to search for, so that so many are probably not hidden."""
        shown = max(1.0 - self._hidden.share, 1 / self._index.size)
        more = count / shown - count
        return min(count + math.ceil(more + _DEVIATIONS * math.sqrt(more)), self._index.size)
