"""The ranking network at serving time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shortlist.bundle.bundle import RANKER, Bundle
from shortlist.inference.candidates import Candidates
from shortlist.inference.live_items import LiveItems
from shortlist.inference.model_inputs import CandidateLists, UserInputs, item_item_features, latest_first, ranker_inputs
from shortlist.inference.onnx_session import OnnxSession
from shortlist.inference.users import ResolvedUser
from shortlist.observability import metrics


class OnnxRanker:
    """Scores the candidates of several users in one run of the model."""

    def __init__(self, bundle: Bundle, live_items: LiveItems | None = None) -> None:
        self._items, self._live_items = bundle.items, live_items
        self._length = bundle.manifest.ranker_history
        self._session = OnnxSession(bundle.directory / RANKER)

    def score(
        self,
        users: Sequence[ResolvedUser],
        lists: Sequence[Candidates],
        user_vectors: Sequence[NDArray[np.float32]],
        contexts: Sequence[NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        """Logits ``[users, n, objectives]`` of each user's candidates, which are equally many for every user.

        ``user_vectors`` are ``[D]`` each, ``contexts`` ``[K]`` each.
        """
        histories = [user.history for user in users]
        rows = np.stack([one.rows for one in lists])
        live = self._live_items.are_live(rows) if self._live_items else None
        candidates = CandidateLists(
            rows=rows if live is None else np.where(live, 0, rows),
            scores=np.stack([one.scores for one in lists]),
            item_item=item_item_features(self._items, histories, rows),
        )
        about = UserInputs(
            vectors=np.stack(user_vectors),
            features=np.concatenate([user.features for user in users]),
            context=np.stack(contexts),
        )
        inputs = ranker_inputs(self._items, latest_first(histories, self._length), about, candidates)
        if live is not None and live.any():
            assert self._live_items is not None
            inputs["candidate_vectors"][live] = self._live_items.vectors_of(rows[live])
            inputs["candidate_features"][live] = self._live_items.features_of(rows[live])
        with metrics.INFERENCE_SECONDS["ranker"].time():
            return self._session.run(inputs)
