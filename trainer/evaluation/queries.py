"""Questions that a recommender is measured by: what comes after a history?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.history import History
from trainer.data import Dataset

STRANGER = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Profiles:
    """What is known of B users who ask.

    Their rows ``[B]`` or STRANGER, a history each, which may be empty, and ``features`` ``[B, UF]``.
    """

    users: NDArray[np.int64]
    histories: Sequence[History]
    features: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.histories)

    def at(self, places: slice) -> Self:
        """Some of them."""
        return replace(self, users=self.users[places], histories=self.histories[places], features=self.features[places])


@dataclass(frozen=True, kw_only=True, eq=False)
class Queries:
    """Q questions about one data set.

    Shapes: ``users`` ``[Q]`` rows; ``histories`` and ``targets`` ``[Q, 2]``, first and behind-the-last place in the
    data set's histories of what is known and of what is to be found; ``candidates`` ``[items]`` what may be
    recommended, None for everything.
    """

    dataset: Dataset
    users: NDArray[np.int64]
    histories: NDArray[np.int64]
    targets: NDArray[np.int64]
    candidates: NDArray[np.bool_] | None = None

    @classmethod
    def of_events(cls, dataset: Dataset, events: NDArray[np.int64]) -> Self:
        """One question for each event: its item, from all that its user had done before."""
        users = dataset.user_rows[events]
        starts = dataset.user_offsets[users]
        places = starts + dataset.position[events]
        return cls(
            dataset=dataset,
            users=users,
            histories=np.stack([starts, places], axis=1),
            targets=np.stack([places, places + 1], axis=1),
        )

    def __len__(self) -> int:
        return len(self.users)

    def at(self, places: NDArray[np.int64] | slice) -> Self:
        """Some of them."""
        return replace(self, users=self.users[places], histories=self.histories[places], targets=self.targets[places])

    def batches(self, size: int) -> Iterator[Self]:
        """All of them, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self.at(slice(start, start + size))

    def profiles(self) -> Profiles:
        """What is known of who asks."""
        data = self.dataset.histories
        histories = [
            History(
                rows=data.item_rows[start:end],
                values=data.values[start:end],
                events=data.events[start:end].astype(np.int64),
            )
            for start, end in self.histories
        ]
        return Profiles(users=self.users, histories=histories, features=self.dataset.known_user_features[self.users])

    def wanted(self) -> NDArray[np.bool_]:
        """What is to be found, ``[Q, items]``."""
        wanted = np.zeros((len(self), len(self.dataset.item_ids)), dtype=np.bool_)
        lengths = self.targets[:, 1] - self.targets[:, 0]
        lines = np.repeat(np.arange(len(self)), lengths)
        places = np.arange(len(lines)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        wanted[lines, self.dataset.histories.item_rows[self.targets[lines, 0] + places]] = True
        return wanted
