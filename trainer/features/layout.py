"""The order and the names of the feature columns: the one place that knows them.

Items: statistics, click-through rates, columns of the item table, id embeddings.
Users: columns of the user table, known, click-through rates, id embeddings.
Requests: columns of the context.

The encoder reads the columns of the user table and "known", which come first. All others are the ranker's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.ranker_columns import ContextColumn
from trainer.data import Dataset
from trainer.data.dataset import Features
from trainer.features.click_rates import click_rate_names

Floats = NDArray[np.float32]
FeatureGroups = Mapping[str, slice]
"""By name, which columns of a matrix belong together."""
STATISTICS = ("count", "likes", "mean_value", "age", "unseen")
"""The columns of :func:`trainer.features.statistics.item_statistics`."""
COUNTS, KNOWN, CLICK_RATES, ID_EMBEDDINGS = "counts", "known", "click-through rates", "id embeddings"
"""Groups without a table: an item's statistics and rates, a one for known users, a user's rates, the id embeddings."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TableColumns:
    """The features of a table: their names ``[F]``, the width of each column, and which are categories ``[F]``."""

    names: tuple[str, ...] = ()
    widths: Mapping[str, int] = field(default_factory=dict)
    is_category: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    @classmethod
    def of(cls, features: Features) -> Self:
        """The columns of a data set's table."""
        widths = {name: part.stop - part.start for name, part in features.columns.items()}
        return cls(names=features.names, widths=widths, is_category=features.is_content)

    @property
    def width(self) -> int:
        """F."""
        return sum(self.widths.values())


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureLayout:
    """The columns of a data set and of a ranker; see the module.

    ``statistics`` and ``click_rates`` are names; ``id_embeddings`` is a width.
    """

    items: TableColumns
    users: TableColumns
    statistics: tuple[str, ...] = STATISTICS
    click_rates: tuple[str, ...] = ()
    context: tuple[ContextColumn, ...] = ()
    id_embeddings: int = 0

    @classmethod
    def of(cls, dataset: Dataset, context: tuple[ContextColumn, ...] = (), id_embeddings: int = 0) -> Self:
        """The layout for a data set; ``context`` holds the columns that the ranker reads of a call."""
        return cls(
            items=TableColumns.of(dataset.item_features),
            users=TableColumns.of(dataset.user_features),
            click_rates=click_rate_names(dataset),
            context=context,
            id_embeddings=id_embeddings,
        )

    def with_id_embeddings(self, width: int) -> Self:
        """The same columns with id embeddings of another width."""
        return replace(self, id_embeddings=width)

    @property
    def point_in_time(self) -> int:
        """How many item columns are counted, point in time: the statistics and the click-through rates, which lead."""
        return len(self.statistics) + len(self.click_rates)

    @property
    def item_table(self) -> slice:
        """The item columns that come from the item table."""
        return slice(self.point_in_time, self.point_in_time + self.items.width)

    @property
    def encoder_users(self) -> slice:
        """The user columns that the encoder reads: those of the user table, and "known"."""
        return slice(0, self.users.width + 1)

    @cached_property
    def item_groups(self) -> FeatureGroups:
        """The item columns by group, ``[F]``."""
        return named({COUNTS: self.point_in_time, **self.items.widths, ID_EMBEDDINGS: self.id_embeddings})

    @cached_property
    def described_item_groups(self) -> FeatureGroups:
        """The item columns by group without those that are counted."""
        return named({**self.items.widths, ID_EMBEDDINGS: self.id_embeddings})

    @cached_property
    def user_groups(self) -> FeatureGroups:
        """The user columns by group, ``[U]``."""
        rates = len(self.click_rates)
        return named({**self.users.widths, KNOWN: 1, CLICK_RATES: rates, ID_EMBEDDINGS: self.id_embeddings})

    @cached_property
    def context_groups(self) -> FeatureGroups:
        """The context columns by group, ``[K]``."""
        return named({column.name: column.width for column in self.context})

    @cached_property
    def user_context_groups(self) -> FeatureGroups:
        """The user columns and behind them the context columns."""
        users = width_of(self.user_groups)
        context = {
            f"request: {name}": slice(part.start + users, part.stop + users)
            for name, part in self.context_groups.items()
        }
        return {**self.user_groups, **context}

    @cached_property
    def is_category(self) -> NDArray[np.bool_]:
        """Which item columns ``[F]`` say that an item has a category."""
        flags = np.zeros(width_of(self.item_groups), dtype=np.bool_)
        flags[self.item_table] = self.items.is_category
        return flags

    @property
    def item_names(self) -> tuple[str, ...]:
        """The item columns by name, as a manifest lists them."""
        return (*self.statistics, *self._rate_names, *self.items.names, *self._embedding_names)

    @property
    def user_names(self) -> tuple[str, ...]:
        """The user columns by name, as a manifest lists them."""
        return (*self.users.names, KNOWN, *self._rate_names, *self._embedding_names)

    @property
    def _rate_names(self) -> tuple[str, ...]:
        return tuple(f"{CLICK_RATES}~{name}" for name in self.click_rates)

    @property
    def _embedding_names(self) -> tuple[str, ...]:
        return tuple(f"{ID_EMBEDDINGS}~{place}" for place in range(self.id_embeddings))


def point_in_time_columns(statistics: Floats, click_rates: Floats) -> Floats:
    """The leading item columns, ``[n, S]``."""
    return np.hstack([statistics, click_rates])


def item_columns(statistics: Floats, click_rates: Floats, table: Floats) -> Floats:
    """The item columns without id embeddings, ``[items, F]``."""
    return np.hstack([point_in_time_columns(statistics, click_rates), table])


def user_columns(known: Floats, click_rates: Floats) -> Floats:
    """The user columns without id embeddings, ``[n, U]``; ``known`` is what :attr:`FeatureLayout.encoder_users` cuts
    out."""
    return np.hstack([known, click_rates])


def with_id_embeddings(columns: Floats, id_embeddings: Floats) -> Floats:
    """The columns of items or of users with their id embeddings behind them."""
    return np.hstack([columns, id_embeddings]) if id_embeddings.shape[1] else columns


def without_id_embeddings(columns: Floats, width: int) -> Floats:
    """The columns of items or of users without the id embeddings of this width."""
    return columns[:, : columns.shape[1] - width]


def named(widths: Mapping[str, int]) -> FeatureGroups:
    """Groups of these widths, one behind the other; empty groups are left out."""
    ends = np.cumsum(list(widths.values())).tolist()
    return {name: slice(end - width, end) for (name, width), end in zip(widths.items(), ends, strict=True) if width}


def width_of(groups: FeatureGroups) -> int:
    """The number of columns in all groups."""
    return max((part.stop for part in groups.values()), default=0)
