"""The two stages as functions of a batch of user ids, made of the same functions as our services.

Both peers' models run them. Imports neither Ray nor Triton, so that either environment can load it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.harness.planted import CANDIDATES
from ranking_service.ranker import OnnxRanker
from retrieval_service.index import FaissIndex
from shortlist.bundle import Bundle
from shortlist.inference.candidates import Candidates
from shortlist.inference.context import ContextEncoder
from shortlist.inference.rows import is_among
from shortlist.inference.score_fusion import ScoreFusion
from shortlist.inference.selection import best_first
from shortlist.inference.user_encoder import UserEncoder
from shortlist.inference.users import ResolvedUser, UserQuery, resolve_user

LIMIT = 20


@dataclass(frozen=True, kw_only=True)
class CandidateBatch:
    """The output of the first stage for B users.

    Shapes: rows ``[B, CANDIDATES]``, scores ``[B, CANDIDATES]``, vectors ``[B, dimension]``.
    """

    rows: NDArray[np.int32]
    scores: NDArray[np.float32]
    vectors: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class ItemList:
    """The answer to one user, best first: ids ``[LIMIT]`` and scores ``[LIMIT]``."""

    item_ids: NDArray[np.bytes_]
    scores: NDArray[np.float32]


class Retrieval:
    """User ids → histories → vectors → nearest items that the user has not seen."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._encoder, self._index = UserEncoder(bundle), FaissIndex(bundle)

    def __call__(self, user_ids: Sequence[str]) -> CandidateBatch:
        """The candidates of known users."""
        users = _resolve(self._bundle, user_ids)
        vectors = self._encoder.encode(
            [user.history for user in users], np.concatenate([user.features for user in users])
        )
        found = [self._search(user, vector) for user, vector in zip(users, vectors, strict=True)]
        return CandidateBatch(
            rows=np.stack([rows for rows, _ in found]),
            scores=np.stack([scores for _, scores in found]),
            vectors=vectors,
        )

    def _search(self, user: ResolvedUser, vector: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        near = self._index.search(vector, CANDIDATES + len(user.seen))
        shown = near.keep(~is_among(near.rows, user.seen))
        return shown.rows[:CANDIDATES].astype(np.int32), shown.scores[:CANDIDATES]


class Ranking:
    """User ids and their candidates → the best items."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle, self._ranker = bundle, OnnxRanker(bundle)
        self._fusion = ScoreFusion.of(bundle.manifest.objectives)
        self._no_context = ContextEncoder(bundle.manifest.context).encode({})

    def __call__(self, user_ids: Sequence[str], found: CandidateBatch) -> list[ItemList]:
        """The best items of each user."""
        parts = zip(found.rows.astype(np.int64), found.scores, strict=True)
        candidates = [Candidates.from_model(rows, scores) for rows, scores in parts]
        users = _resolve(self._bundle, user_ids)
        columns = self._ranker.score(users, candidates, [*found.vectors], [self._no_context] * len(users))
        return [self._best(one.rows, of_one) for one, of_one in zip(candidates, columns, strict=True)]

    def _best(self, rows: NDArray[np.int64], columns: NDArray[np.float32]) -> ItemList:
        keys = self._fusion.keys(columns)
        best = best_first(keys, LIMIT)
        scores = self._fusion.scores(keys[best], self._fusion.predictions(columns[best]))
        return ItemList(item_ids=self._bundle.items.ids[rows[best]], scores=scores)


def _resolve(bundle: Bundle, user_ids: Sequence[str]) -> list[ResolvedUser]:
    return [resolve_user(bundle, UserQuery(user_id=user_id)) for user_id in user_ids]
