"""The user encoder at serving time, and which of its vectors mean something."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.bundle import USER_ENCODER, Bundle
from shortlist.bundle.history import History
from shortlist.inference.model_inputs import encoder_inputs
from shortlist.inference.onnx_session import OnnxSession
from shortlist.inference.users import ResolvedUser
from shortlist.observability import metrics


class UserEncoder:
    """Encodes histories and user features as user vectors."""

    def __init__(self, bundle: Bundle) -> None:
        self._inputs = bundle.items.inputs
        self._length = bundle.manifest.encoder_history
        self._session = OnnxSession(bundle.directory / USER_ENCODER)
        # The columns after these are for the ranker alone.
        self._width = self._session.width("user_features") if self.reads_features else 0

    @property
    def reads_features(self) -> bool:
        """Whether the encoder reads user features, so that a user with features needs no history."""
        return self._session.takes("user_features")

    def features_of(self, user: ResolvedUser) -> NDArray[np.float32] | None:
        """The features ``[U]`` of a user; None when the bundle has none, or the encoder reads none."""
        return user.features[0] if self.reads_features and user.is_described else None

    def vectors(
        self, histories: Sequence[History], features: Sequence[NDArray[np.float32]]
    ) -> list[NDArray[np.float32] | None]:
        """The vector ``[D]`` of each user with features ``[U]``; None for a user of whom nothing is known.

        A history counts when one of its items has an input that is not zero. Many encoders make a vector of any
        history; without such an item it would be the same for everybody.
        """
        found: list[NDArray[np.float32] | None] = [None] * len(histories)
        pairs = enumerate(zip(histories, features, strict=True))
        known = [place for place, (history, one) in pairs if self._reads(history) or one[: self._width].any()]
        if known:
            encoded = self.encode([histories[place] for place in known], np.stack([features[place] for place in known]))
            for place, vector, usable in zip(known, encoded, are_usable(encoded), strict=True):
                found[place] = vector if usable else None
        return found

    def encode(self, histories: Sequence[History], features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vectors ``[users, D]`` of histories and ``features`` ``[users, U]``.

        A history may be empty only when the encoder reads features.
        """
        inputs = encoder_inputs(self._inputs, histories, self._length, features[:, : self._width])
        with metrics.INFERENCE_SECONDS["user_encoder"].time():
            return self._session.run(inputs)

    def _reads(self, history: History) -> bool:
        """Whether an item of the history has an input that is not zero."""
        if not len(history):
            return False
        # Mostly a single number decides.
        if self._inputs.item(int(history.rows[-1]), 0):
            return True
        return bool(self._inputs.take(history.last(self._length).rows, axis=0).any())


def are_usable(vectors: NDArray[np.float32]) -> list[bool]:
    """Which vectors ``[n, D]`` are finite and not zero. A zero vector has score 0 with every item."""
    squares: list[float] = np.vecdot(vectors, vectors).tolist()
    return [0 < square < math.inf for square in squares]
