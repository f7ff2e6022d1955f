"""The client: one for a process, shared between its threads or tasks."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self, TypeVar

import grpc

from shortlist.connections import CONNECTIONS, OWN_CONNECTION, Connections
from shortlist.errors import ShortlistError
from shortlist.messages import (
    CHANNEL_OPTIONS,
    HistoryItem,
    Recommendations,
    read_error,
    read_recommendations,
    user_message,
)
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub

_OPTIONS = (*CHANNEL_OPTIONS, OWN_CONNECTION)
Request = TypeVar("Request", pb.RecommendRequest, pb.RankRequest)
Response = TypeVar("Response", pb.RecommendResponse, pb.RankResponse)


class Recommender:
    """Calls a ranking service, such as ``Recommender("dns:///ranking:50052")``. Thread-safe.

    Every call has a deadline, ``timeout`` in seconds. A call that ends UNAVAILABLE is tried again, four times in all
    and within its deadline. Calls go over several connections, each of them round-robin over all the addresses that the
    target resolves to: behind one address may be several processes.
    """

    def __init__(self, target: str, *, timeout: float = 1.0) -> None:
        self._channels = [grpc.insecure_channel(target, options=_OPTIONS) for _ in range(CONNECTIONS)]
        self._connections = Connections([RankingServiceStub(channel) for channel in self._channels])
        self._timeout = timeout
        self._closed = False

    def recommend(
        self,
        *,
        user_id: str = "",
        history: Sequence[HistoryItem | str] = (),
        limit: int = 10,
        exclude: Iterable[str] = (),
        candidates: int = 0,
        keep_seen: bool = False,
        timeout: float | None = None,
    ) -> Recommendations:
        """The best ``limit`` items for a user, both stages in one call.

        Args:
            user_id: the id of the training data; empty when unknown.
            history: what the user did, oldest first; without it, what the bundle knows of ``user_id``.
            limit: how many items, 1 to 1000.
            exclude: items that may not be in the list.
            candidates: how many candidates to rank, up to 1000; 0 leaves it to the bundle.
            keep_seen: whether items of the history may be in the list.
            timeout: seconds for this call, in place of the client's own.

        Raises:
            InvalidRequest: the request breaks the contract; its ``violations`` say where.
            Unavailable: the service cannot be reached, or cannot answer now.
            DeadlineExceeded: no answer within the timeout.
            ShortlistError: anything else, among it the use of a closed client.
        """
        request = _recommend_request(user_id, history, limit, exclude, candidates, keep_seen)
        with self._connections.stub() as stub:
            return self._call(stub.Recommend, request, timeout)

    def rank(
        self,
        *,
        item_ids: Sequence[str],
        user_id: str = "",
        history: Sequence[HistoryItem | str] = (),
        limit: int = 10,
        timeout: float | None = None,
    ) -> Recommendations:
        """The best ``limit`` of the caller's own candidates, which come best first; raises as ``recommend`` does."""
        request = _rank_request(item_ids, user_id, history, limit)
        with self._connections.stub() as stub:
            return self._call(stub.Rank, request, timeout)

    def close(self) -> None:
        """Ends the calls in flight and closes the connections."""
        self._closed = True
        for channel in self._channels:
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _call(
        self, method: grpc.UnaryUnaryMultiCallable[Request, Response], request: Request, timeout: float | None
    ) -> Recommendations:
        _require_open(self._closed)
        try:
            response = method(request, timeout=self._timeout if timeout is None else timeout)
        except grpc.RpcError as error:
            raise read_error(error) from error
        return read_recommendations(response)


class AsyncRecommender:
    """:class:`Recommender` for asyncio: made, used and closed within one event loop."""

    def __init__(self, target: str, *, timeout: float = 1.0) -> None:
        self._channels = [grpc.aio.insecure_channel(target, options=_OPTIONS) for _ in range(CONNECTIONS)]
        self._connections = Connections([RankingServiceStub(channel) for channel in self._channels])
        self._timeout = timeout
        self._closed = False

    async def recommend(
        self,
        *,
        user_id: str = "",
        history: Sequence[HistoryItem | str] = (),
        limit: int = 10,
        exclude: Iterable[str] = (),
        candidates: int = 0,
        keep_seen: bool = False,
        timeout: float | None = None,
    ) -> Recommendations:
        """See :meth:`Recommender.recommend`."""
        request = _recommend_request(user_id, history, limit, exclude, candidates, keep_seen)
        with self._connections.stub() as stub:
            return await self._call(stub.Recommend, request, timeout)

    async def rank(
        self,
        *,
        item_ids: Sequence[str],
        user_id: str = "",
        history: Sequence[HistoryItem | str] = (),
        limit: int = 10,
        timeout: float | None = None,
    ) -> Recommendations:
        """See :meth:`Recommender.rank`."""
        request = _rank_request(item_ids, user_id, history, limit)
        with self._connections.stub() as stub:
            return await self._call(stub.Rank, request, timeout)

    async def close(self) -> None:
        """Ends the calls in flight and closes the connections."""
        self._closed = True
        for channel in self._channels:
            await channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _call(
        self, method: grpc.aio.UnaryUnaryMultiCallable[Request, Response], request: Request, timeout: float | None
    ) -> Recommendations:
        _require_open(self._closed)
        try:
            response = await method(request, timeout=self._timeout if timeout is None else timeout)
        except grpc.RpcError as error:
            raise read_error(error) from error
        return read_recommendations(response)


def _recommend_request(
    user_id: str,
    history: Sequence[HistoryItem | str],
    limit: int,
    exclude: Iterable[str],
    candidates: int,
    keep_seen: bool,
) -> pb.RecommendRequest:
    return pb.RecommendRequest(
        user=user_message(user_id, history),
        limit=limit,
        exclude_item_ids=exclude,
        candidate_count=candidates,
        keep_seen=keep_seen,
    )


def _rank_request(
    item_ids: Sequence[str], user_id: str, history: Sequence[HistoryItem | str], limit: int
) -> pb.RankRequest:
    return pb.RankRequest(user=user_message(user_id, history), item_ids=item_ids, limit=limit)


def _require_open(closed: bool) -> None:
    if closed:
        raise ShortlistError("this client is closed; make a new one")
