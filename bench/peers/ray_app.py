"""Our two stages as two deployments of Ray Serve, composed by a handle.

The method is our own ``Recommend``, so that the same serialised requests drive both. Runs in Ray's environment.
"""

from pathlib import Path

from ray import serve
from ray.serve.handle import DeploymentHandle

from bench.peers.settings import RaySettings
from bench.peers.stages import CandidateBatch, ItemList, Ranking, Retrieval
from shortlist.bundle import Bundle
from shortlist.ranking.v1.ranking_service_pb2 import RecommendRequest, RecommendResponse, ScoredItem


@serve.deployment
class RetrievalDeployment:
    """The first stage."""

    def __init__(self, directory: str) -> None:
        self._stage = Retrieval(Bundle.open(Path(directory)))

    async def retrieve(self, user_ids: list[str]) -> CandidateBatch:
        """The candidates of a batch of users."""
        return self._stage(user_ids)


@serve.deployment
class RankingDeployment:
    """The second stage, and the ingress."""

    def __init__(self, directory: str, retrieval: DeploymentHandle, settings: RaySettings) -> None:
        self._stage, self._retrieval = Ranking(Bundle.open(Path(directory))), retrieval
        self._recommend.set_max_batch_size(settings.batch)
        self._recommend.set_batch_wait_timeout_s(settings.batch_wait_seconds)

    async def Recommend(self, request: RecommendRequest) -> RecommendResponse:  # noqa: N802 - the contract's name
        """Both stages, in one batch with concurrent calls."""
        listed = await self._recommend(request.user.user_id)
        pairs = zip(listed.item_ids.tolist(), listed.scores.tolist(), strict=True)
        return RecommendResponse(items=[ScoredItem(item_id=item.decode(), score=score) for item, score in pairs])

    @serve.batch(max_concurrent_batches=2)
    async def _recommend(self, user_ids: list[str]) -> list[ItemList]:
        found = await self._retrieval.retrieve.remote(user_ids)
        return self._stage(user_ids, found)
