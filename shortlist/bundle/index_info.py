"""The part of the manifest about the index: its parameters, and the trials that it was chosen from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from msgspec import Meta

from shortlist.bundle.manifest_json import converted

# The bounds of a recipe.
Candidates = Annotated[int, Meta(ge=1, le=100_000)]


@dataclass(frozen=True, kw_only=True)
class IndexTrial:
    """An index that was tried on real user vectors.

    ``spec`` is a FAISS factory string, ``parameters`` are named as in FAISS's parameter space. The time of a search is
    on one thread: of a query alone, and of one among eight in a call. ``rescored`` indexes have rounded scores; their
    time includes the computation of the exact ones.
    """

    spec: str
    parameters: str
    recall: float
    search_us: float
    search_us_batch: float
    bytes_per_vector: float
    build_seconds: float
    rescored: bool = False
    chosen: bool = False


@dataclass(frozen=True, kw_only=True)
class IndexInfo:
    """The index, the parameters of its search, its recall, and the trials that it was chosen from.

    ``recall`` is the share of the exact ``recall_at`` nearest items that it returns, for real user vectors that its
    parameters were not chosen by. It is the fastest of the ``trials`` that reached ``target``. Services compute the
    scores again from the item vectors when it is ``rescored``. ``not_tried`` has the reason for each kind of index
    without a trial.
    """

    spec: str
    parameters: str
    recall: float
    recall_at: Candidates
    target: float
    trials: tuple[IndexTrial, ...]
    rescored: bool = False
    not_tried: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Reads ``dataclasses.asdict`` back from JSON.

        Raises:
            ValueError: names the place of a wrong type.
        """
        return converted(raw, cls)
