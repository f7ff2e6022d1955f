"""The addresses that attacks aim at."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

RECOMMEND = "/shortlist.ranking.v1.RankingService/Recommend"
RETRIEVE = "/shortlist.retrieval.v1.RetrievalService/Retrieve"
BATCH_RETRIEVE = "/shortlist.retrieval.v1.RetrievalService/BatchRetrieve"


@dataclass(frozen=True, kw_only=True)
class Targets:
    """HOST:PORT of the ranking service and of one retrieval instance: for calls, for probes, and for Prometheus.

    ``items`` and ``users`` are some ids of the bundle.
    """

    ranking: str
    ranking_probes: str
    ranking_metrics: str
    retrieval: str
    retrieval_probes: str
    items: tuple[str, ...]
    users: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Writes them as JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the file of :meth:`write`."""
        raw = json.loads(path.read_text())
        return cls(**{**raw, "items": tuple(raw["items"]), "users": tuple(raw["users"])})
