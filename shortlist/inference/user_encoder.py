"""The user encoder at serving time."""

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

    def encode(self, histories: Sequence[History], features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vectors ``[users, D]`` of histories and ``features`` ``[users, U]``.

        A history may be empty only when the encoder reads features.
        """
        inputs = encoder_inputs(self._inputs, histories, self._length, features[:, : self._width])
        with metrics.INFERENCE_SECONDS["user_encoder"].time():
            return self._session.run(inputs)
