"""Describes items that a bundle does not know, as the next export would before their first event."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.bundle import ITEM_ENCODER, Bundle
from shortlist.bundle.item_columns import ITEM_COLUMNS, ItemColumns
from shortlist.errors import BundleError, FieldViolation, InvalidRequest
from shortlist.inference.featuriser import ItemFeaturiser, ItemValues
from shortlist.inference.onnx_session import OnnxSession


@dataclass(frozen=True, kw_only=True, eq=False)
class NewItems:
    """n items without events: the rows that ``ItemTables`` would have of them.

    ``vectors`` ``[n, D]``, ``inputs`` ``[n, I]`` and ``features`` ``[n, F]``. They are in no item-item table. A vector
    is zeros where the encoder reads none of the values: then no search can find the item.
    """

    vectors: NDArray[np.float32]
    inputs: NDArray[np.float32]
    features: NDArray[np.float32]


class NewItemEncoder:
    """The featuriser and the item encoder of a bundle, for services that take new items."""

    def __init__(self, bundle: Bundle) -> None:
        """Loads both.

        Raises:
            BundleError: the bundle can describe no new items, or its files do not fit each other.
        """
        if bundle.manifest.new_items_refusal or bundle.items.unseen is None:
            raise BundleError(bundle.directory, f"describes no new items: {bundle.manifest.new_items_refusal}")
        columns = ItemColumns.load(bundle.directory, bundle.manifest)
        self.featuriser = ItemFeaturiser(columns)
        """The features of the columns alone."""
        self._table = slice(len(bundle.items.unseen), len(bundle.items.unseen) + self.featuriser.width)
        if list(bundle.manifest.item_features[self._table]) != columns.names:
            raise BundleError(bundle.directory / ITEM_COLUMNS, "gives other features than those in the manifest")
        # Behind the columns are id embeddings, which a new item does not have.
        self._row = np.zeros(len(bundle.manifest.item_features), dtype=np.float32)
        self._row[: self._table.start] = bundle.items.unseen
        self._session = OnnxSession(bundle.directory / ITEM_ENCODER)

    def describe(self, items: Sequence[ItemValues]) -> NewItems:
        """The vectors and features of items with these values of their columns.

        Raises:
            InvalidRequest: a column is unknown, or a value is of another kind. Or the values are so far from those of
                the training that a vector is not finite.
        """
        table = self.featuriser.rows(items)
        vectors, inputs = self.encode(table)
        if not (np.isfinite(vectors).all() and np.isfinite(inputs).all()):
            raise InvalidRequest((FieldViolation("columns", "give a vector that is not finite"),))
        features = np.tile(self._row, (len(items), 1))
        features[:, self._table] = table
        return NewItems(vectors=vectors, inputs=inputs, features=features)

    def encode(self, table: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The vectors ``[n, D]`` and the inputs ``[n, I]`` of items with features ``[n, F]`` of their columns."""
        outputs = self._session.run_all({"item_features": table})
        # Most encoders read the vectors themselves.
        return outputs[0], outputs[-1]
