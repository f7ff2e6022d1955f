"""Queries that measure a recommender: which items follow a history?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.history import History
from trainer.data import Dataset
from trainer.data.history_slices import HistorySlices

STRANGER = -1
_BATCH = 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class Profiles:
    """The known data of B users.

    Their rows ``[B]`` or ``STRANGER``, a history each, which may be empty, and ``features`` ``[B, UF]``.
    """

    users: NDArray[np.int64]
    histories: Sequence[History]
    features: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.histories)

    def at(self, places: slice) -> Self:
        """Some of the users."""
        return replace(self, users=self.users[places], histories=self.histories[places], features=self.features[places])


@dataclass(frozen=True, kw_only=True, eq=False)
class Queries:
    """Q queries of one data set.

    ``users`` ``[Q]`` are rows. ``histories`` and ``targets`` ``[Q, 2]`` are the first and the behind-the-last place of
    the known and of the relevant events in the data set's histories. ``candidates`` ``[items]`` are the items that may
    be recommended, None for all.
    """

    dataset: Dataset
    users: NDArray[np.int64]
    histories: NDArray[np.int64]
    targets: NDArray[np.int64]
    candidates: NDArray[np.bool_] | None = None

    @classmethod
    def of_events(cls, dataset: Dataset, events: NDArray[np.int64]) -> Self:
        """One query for each event: its item, given the events of its user strictly before it in time."""
        users, places = dataset.user_rows[events], dataset.places[events]
        starts = dataset.user_offsets[users]
        return cls(
            dataset=dataset,
            users=users,
            histories=np.stack([starts, starts + dataset.position[events]], axis=1),
            targets=np.stack([places, places + 1], axis=1),
        )

    def __len__(self) -> int:
        return len(self.users)

    def at(self, places: NDArray[np.int64] | slice) -> Self:
        """Some of the queries."""
        return replace(self, users=self.users[places], histories=self.histories[places], targets=self.targets[places])

    def batches(self, size: int) -> Iterator[Self]:
        """All queries, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self.at(slice(start, start + size))

    @property
    def listed(self) -> NDArray[np.bool_]:
        """The items that the lists may hold, ``[items]``: the candidates that the data set lists."""
        return self.dataset.listed if self.candidates is None else self.dataset.listed & self.candidates

    def profiles(self) -> Profiles:
        """The known data of the queries' users."""
        starts, ends = self.histories.T
        slices = HistorySlices(data=self.dataset.histories, starts=starts, ends=ends, without=np.full(len(self), -1))
        return Profiles(
            users=self.users, histories=slices.listed(), features=self.dataset.known_user_features[self.users]
        )

    def relevant_pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The relevant items as lines and item rows ``[P]``: each query's targets, each once, without the seen ones.

        Lists leave out the items that the history has seen, so these cannot be found. Nor can items that no list may
        hold.
        """
        items, pairs = len(self.dataset.item_ids), [np.zeros(0, dtype=np.int64)]
        for start, batch in enumerate(self.batches(_BATCH)):
            new = np.setdiff1d(batch._pairs(batch.targets)[0], batch._seen_pairs())
            pairs.append(new + start * _BATCH * items)
        lines, rows = np.divmod(np.concatenate(pairs), items)
        found = self.dataset.listed[rows]
        return lines[found], rows[found]

    @property
    def unlisted_targets(self) -> int:
        """How many events to be found are of items that no list may hold."""
        if self.dataset.listed.all():
            return 0
        events = np.append(0, np.cumsum(~self.dataset.listed[self.dataset.histories.item_rows]))
        starts, ends = self.targets.T
        return int((events[ends] - events[starts]).sum())

    def relevant(self) -> NDArray[np.bool_]:
        """Whether each item is relevant to each query, ``[Q, items]``; see :meth:`relevant_pairs`."""
        relevant = np.zeros((len(self), len(self.dataset.item_ids)), dtype=np.bool_)
        relevant[self.relevant_pairs()] = True
        return relevant

    def _seen_pairs(self) -> NDArray[np.int64]:
        """A number for each line and item of the seen events in the histories."""
        pairs, places = self._pairs(self.histories)
        return pairs[self.dataset.seen_events.among(self.dataset.histories.events[places])]

    def _pairs(self, spans: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """A number for each line and item of the events in the spans ``[Q, 2]``, and their places in the histories."""
        lengths = spans[:, 1] - spans[:, 0]
        lines = np.repeat(np.arange(len(self)), lengths)
        places = np.arange(len(lines)) + np.repeat(spans[:, 0] - np.cumsum(lengths) + lengths, lengths)
        return np.asarray(lines * len(self.dataset.item_ids) + self.dataset.histories.item_rows[places]), places
