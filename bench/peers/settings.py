"""How each peer is set up. The defaults are the best that were found; the README here has the figures of the others."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RaySettings:
    """Ray Serve: how many replicas of each deployment, how many calls each takes, and how the calls are batched."""

    retrieval_replicas: int = 1
    ranking_replicas: int = 2
    ongoing: int = 64
    batch: int = 16
    batch_wait_seconds: float = 0.02


@dataclass(frozen=True, kw_only=True)
class TritonSettings:
    """Triton: how many instances of each model, how its batches are made, and which model joins both.

    ``model`` is ``recommend`` (ranking asks retrieval within the server) or ``ensemble`` (Triton's own scheduler).
    """

    model: str = "ensemble"
    retrieval_instances: int = 1
    ranking_instances: int = 2
    batch: int = 16
    delay_us: int = 0
