"""Queries and candidates as the arrays that travel between the two services."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranking_service.ranker import Candidates
from shortlist.bundle import Bundle, Manifest
from shortlist.bundle.history import History
from shortlist.inference.rows import BYTES, FLOATS, ROWS
from shortlist.retrieval.v1 import retrieval_service_pb2 as pb


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Whom to find candidates for: a history, rows (ascending) that may not be found, and the user's features ``[U]``.

    The features are None for a stranger, and where the encoder reads none; the history then has an interaction.
    """

    history: History
    hidden: NDArray[np.int64]
    limit: int
    features: NDArray[np.float32] | None = None


def rows_request(bundle: Bundle, wanted: Sequence[Wanted]) -> pb.RetrieveRowsRequest:
    """The call for several users, in rows of this bundle."""
    request = pb.RetrieveRowsRequest(bundle_id=bundle.bundle_id)
    for one in wanted:
        # The encoder looks at no more than these.
        history = one.history.last(bundle.manifest.encoder_history)
        request.queries.add(
            history_rows=history.rows.astype(ROWS).tobytes(),
            history_values=history.values.astype(FLOATS, copy=False).tobytes(),
            history_events=history.events.astype(BYTES).tobytes(),
            hidden_rows=one.hidden.astype(ROWS).tobytes(),
            limit=one.limit,
            user_features=b"" if one.features is None else one.features.astype(FLOATS, copy=False).tobytes(),
        )
    return request


def read_candidates(response: pb.RetrieveRowsResponse, manifest: Manifest, count: int) -> list[Candidates]:
    """The answer for ``count`` users.

    Raises:
        ValueError: it is of no use; says why.
    """
    if len(response.candidates) != count:
        raise ValueError("the answer is not as long as the question")
    return [_read(candidates, manifest) for candidates in response.candidates]


def _read(message: pb.RowsCandidates, manifest: Manifest) -> Candidates:
    candidates = Candidates(
        rows=np.frombuffer(message.rows, dtype=ROWS).astype(np.int64),
        scores=np.frombuffer(message.scores, dtype=FLOATS).astype(np.float32, copy=False),
        user_vector=np.frombuffer(message.user_vector, dtype=FLOATS).astype(np.float32, copy=False),
    )
    fits = (
        len(candidates.scores) <= len(candidates.rows)
        and len(candidates.user_vector) in {0, manifest.dimension}
        and bool((candidates.rows < manifest.item_count).all())
    )
    if not fits:
        raise ValueError("the answer does not fit the bundle")
    return candidates
