"""The peers' settings. The defaults are the best ones found; README.md in this folder has the figures of others."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RaySettings:
    """Ray Serve: replicas of each deployment, calls in progress at each replica, and batching."""

    retrieval_replicas: int = 1
    ranking_replicas: int = 2
    ongoing: int = 64
    batch: int = 16
    batch_wait_seconds: float = 0.02


@dataclass(frozen=True, kw_only=True)
class TritonSettings:
    """Triton: instances of each model, batching, and the model that joins both stages.

    ``model`` is ``recommend`` (ranking calls retrieval within the server) or ``ensemble`` (Triton's own scheduler).
    """

    model: str = "ensemble"
    retrieval_instances: int = 1
    ranking_instances: int = 2
    batch: int = 16
    delay_us: int = 0
