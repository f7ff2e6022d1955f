"""The ranking network at serving time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.bundle import RANKER, Bundle
from shortlist.inference.model_inputs import CandidateLists, item_item_features, ranker_inputs
from shortlist.inference.onnx_session import OnnxSession
from shortlist.inference.users import ResolvedUser
from shortlist.observability import metrics


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """What is to be ranked: ``rows`` ``[found]``, best first, of which the first ``len(scores)`` are the model's own.

    ``rows`` are distinct. ``user_vector`` ``[dimension]`` is empty when retrieval knew nobody.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    user_vector: NDArray[np.float32]

    @property
    def chosen(self) -> NDArray[np.int64]:
        """The rows that the model chose."""
        return self.rows[: len(self.scores)]


class OnnxRanker:
    """Users and candidates → a column for each objective."""

    def __init__(self, bundle: Bundle) -> None:
        self._items = bundle.items
        self._length = bundle.manifest.ranker_history
        self._session = OnnxSession(bundle.directory / RANKER)

    def score(
        self, users: Sequence[ResolvedUser], lists: Sequence[Candidates], contexts: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Columns ``[users, chosen, objectives]`` of each user's chosen candidates, which are as many for every user.

        ``contexts`` ``[K]`` are what is known of each one's request.
        """
        histories = [user.history for user in users]
        rows = np.stack([one.chosen for one in lists])
        candidates = CandidateLists(
            rows=rows,
            scores=np.stack([one.scores for one in lists]),
            item_item=item_item_features(self._items, histories, rows),
        )
        vectors = np.stack([one.user_vector for one in lists])
        features = np.concatenate([user.features for user in users])
        context = np.stack(contexts)
        inputs = ranker_inputs(self._items, histories, self._length, vectors, features, candidates, context)
        with metrics.INFERENCE_SECONDS["ranker"].time():
            return self._session.run(inputs)
