"""The ranking network at serving time."""

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.bundle import RANKER, Bundle
from shortlist.model_inputs import CandidateLists, ranker_inputs, transition_features
from shortlist.onnx_session import OnnxSession
from shortlist.users import ResolvedUser


class OnnxRanker:
    """User and candidates → one column of scores for each head."""

    def __init__(self, bundle: Bundle) -> None:
        self._items = bundle.items
        self._length = bundle.manifest.ranker_history
        self._session = OnnxSession(bundle.directory / RANKER)

    def score(
        self,
        user: ResolvedUser,
        user_vector: NDArray[np.float32],
        rows: NDArray[np.int64],
        retrieval_scores: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Scores ``[candidates, heads]`` of distinct catalogue rows in the order of retrieval."""
        candidates = CandidateLists(
            rows=rows[None, :],
            scores=retrieval_scores[None, :],
            transitions=transition_features(self._items, user.history, rows)[None, :],
        )
        inputs = ranker_inputs(
            self._items, [user.history], self._length, user_vector[None, :], user.features, candidates
        )
        scores: NDArray[np.float32] = self._session.run(inputs)[0]
        return scores
