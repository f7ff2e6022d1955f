"""A data set, and how a published protocol measures on it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.errors import DataError
from trainer.evaluation.queries import Queries

TRAIN, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """The training, validation and test of a data set.

    The first ``learn_end`` events are for training, and those up to ``known_end`` are known at the test. The settings
    and the epoch are those with the best ``chosen_by`` of the ``metrics`` on the validation. With ``refit``, the model
    is then trained again on all known events, for as many epochs. With ``both_stages``, a ranker learns from the events
    between the two ends. ``by_event`` are the test's questions about each kind of event, where there are several kinds.
    ``warnings`` are sentences about users and queries that were left out or say little.
    """

    dataset: Dataset
    learn_end: int
    known_end: int
    validation: Queries
    test: Queries
    metrics: tuple[str, ...]
    chosen_by: str
    refit: bool = False
    both_stages: bool = False
    by_event: Mapping[str, Queries] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def answerable(self) -> Self:
        """Without the queries whose items are all in their history, with a warning for all that is left out.

        Raises:
            DataError: nothing else is left.
        """
        parts: Mapping[str, Queries] = {"validation": self.validation, "test": self.test}
        found = {name: queries.at(np.unique(queries.relevant_pairs()[0])) for name, queries in parts.items()}
        warnings = [text for name, queries in parts.items() for text in self._remarks(name, queries, found[name])]
        return replace(self, validation=found["validation"], test=found["test"], warnings=(*self.warnings, *warnings))

    def _remarks(self, name: str, given: Queries, kept: Queries) -> Iterator[str]:
        targets = int((given.targets[:, 1] - given.targets[:, 0]).sum())
        if unlisted := given.unlisted_targets:
            yield f"{name}: {unlisted:,} of {targets:,} events to be found are of items that no list may hold"
        if repeats := targets - unlisted - len(given.relevant_pairs()[0]):
            yield (
                f"{name}: {repeats:,} of {targets:,} events to be found are repeats and cannot be found, because lists "
                f"leave out what a user has; {len(given) - len(kept):,} of {len(given):,} queries were left out, since "
                "they have no other"
            )
        without = int((kept.histories[:, 0] == kept.histories[:, 1]).sum())
        if 0 < without < len(kept):
            yield f"{name}: {without:,} of {len(kept):,} queries have no history"
        items = int(given.listed.sum())
        if trivial := [metric for metric in self.metrics if _is_one_for_all(metric, items)]:
            yield f"{name}: {', '.join(trivial)} cannot tell models apart, because their lists hold all {items} items"

    def __post_init__(self) -> None:
        for name, queries in {"validation": self.validation, "test": self.test}.items():
            if not len(queries):
                raise DataError(f"the {name} has nothing to find; the data is too small for the protocol")


def _is_one_for_all(metric: str, items: int) -> bool:
    """Whether a list of the metric's length has all items, so that only their order may count."""
    kind, _, cut = metric.partition("@")
    return items <= int(cut) and (kind in ("hr", "recall", "recall_min") or (kind in ("ndcg", "mrr") and items == 1))


def by_part(dataset: Dataset, parts: NDArray[np.int64]) -> tuple[Dataset, NDArray[np.int64]]:
    """The data set with its events sorted by part ``[N]``, and the counts of each user by part, ``[users, 3]``.

    The sort is stable, so each user's training events come first, in their order.
    """
    ordered = dataset.in_order(np.argsort(parts, kind="stable"))
    users = len(dataset.user_ids)
    counts = [np.bincount(dataset.user_rows[parts == part], minlength=users) for part in (TRAIN, VALIDATION, TEST)]
    return ordered, np.stack(counts, axis=1)


def spans(dataset: Dataset, counts: NDArray[np.int64], part: int) -> NDArray[np.int64]:
    """First and behind-the-last place of each user's events of a part in the data set's histories, ``[users, 2]``."""
    ends = dataset.user_offsets[:-1] + counts[:, : part + 1].sum(axis=1)
    return np.stack([ends - counts[:, part], ends], axis=1)
