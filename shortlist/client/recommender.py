"""The client of the ranking service: one for a process, shared by its threads or tasks."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import grpc

from shortlist.client.arguments import Id
from shortlist.client.channels import AsyncChannels, Channels
from shortlist.client.hedging import Hedging
from shortlist.client.messages import HistoryItem, Recommendations, read_recommendations
from shortlist.client.requests import rank_request, recommend_request, similar_request
from shortlist.client.service_config import channel_options
from shortlist.client.tls_cause import read_failure
from shortlist.context import Context
from shortlist.errors import ShortlistError
from shortlist.limits import DEFAULT_LIMIT, DEFAULT_TIMEOUT_SECONDS
from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.security.settings import ClientSecurity

_OPTIONS = channel_options("shortlist.ranking.v1.RankingService", attempts=4, backoff_seconds=0.02)
_PLAINTEXT = ClientSecurity()

if TYPE_CHECKING:
    from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceAsyncStub
Request = TypeVar("Request", pb.RecommendRequest, pb.RankRequest, pb.SimilarRequest)
Response = TypeVar("Response", pb.RecommendResponse, pb.RankResponse, pb.SimilarResponse)


class Recommender:
    """Calls a ranking service, such as ``Recommender("dns:///ranking:50052")``. Thread-safe.

    Every call has a deadline, ``timeout`` in seconds. A call that reaches no server is tried again, up to four times
    and within its deadline. Calls go over several connections, each round-robin over the addresses of the target,
    because one address may have several processes behind it.

    A call without an answer after ``hedge_after`` seconds is made a second time, to another server if there is one. The
    first answer counts. At most a tenth of the calls are repeated so. ``security`` has the caller's credentials.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        hedge_after: float | None = None,
        security: ClientSecurity = _PLAINTEXT,
    ) -> None:
        self._channels = Channels(target, RankingServiceStub, _OPTIONS, security)
        self._hedging = None if hedge_after is None else Hedging(hedge_after)
        self._timeout, self._security = timeout, security
        self._closed = False

    def recommend(
        self,
        *,
        user_id: Id = "",
        history: Sequence[HistoryItem | Id] = (),
        append: bool = False,
        limit: int = DEFAULT_LIMIT,
        exclude: Iterable[Id] = (),
        candidates: int = 0,
        keep_seen: bool = False,
        objective_weights: Mapping[str, float] | None = None,
        context: Context | None = None,
        min_position: int = 0,
        timeout: float | None = None,
    ) -> Recommendations:
        """The best ``limit`` items for a user, both stages in one call.

        An id is a text or a whole number.

        Args:
            user_id: the user's id in the training data; empty when unknown.
            history: the user's interactions, oldest first; without it, the history that the bundle has of ``user_id``.
            append: whether the history follows the one that the bundle has of ``user_id``, so that the latest
                interactions are enough. By default it replaces that one. Interactions that are in both count twice.
            limit: how many items, 1 to 1000.
            exclude: items that may not be in the list.
            candidates: how many candidates to rank, up to 1000; 0 takes the bundle's number.
            keep_seen: whether items that the user has seen may be in the list. The bundle says which events of a
                history make an item seen.
            objective_weights: weights by objective name, in place of the bundle's own. The list is sorted by the
                product of the predictions, each raised to its weight.
            context: texts and numbers that describe the call, such as ``{"device": "tv", "hour": 20}``.
            min_position: the position of the live service that the list has to know, as it gave it for recorded events.
                Else the list is degraded with "history_unavailable".
            timeout: seconds for this call, in place of the client's.

        Raises:
            TypeError: an argument has another type; the message names the argument.
            InvalidRequest: the request breaks the contract; its ``violations`` say where.
            Unavailable: the service cannot be reached, or cannot answer now. :class:`TlsMismatch` is the kind for which
                TLS is the likely cause.
            DeadlineExceeded: no answer came within the timeout.
            ShortlistError: any other failure, including the use of a closed client.
        """
        request = recommend_request(
            user_id, history, append, limit, exclude, candidates, keep_seen, objective_weights, context, min_position
        )
        return self._call(lambda stub: stub.Recommend, request, timeout)

    def rank(
        self,
        *,
        item_ids: Sequence[Id],
        user_id: Id = "",
        history: Sequence[HistoryItem | Id] = (),
        append: bool = False,
        limit: int = DEFAULT_LIMIT,
        objective_weights: Mapping[str, float] | None = None,
        context: Context | None = None,
        min_position: int = 0,
        timeout: float | None = None,
    ) -> Recommendations:
        """The best ``limit`` of the caller's own candidates, given best first.

        Raises:
            TypeError: as for :meth:`recommend`.
            ShortlistError: as for :meth:`recommend`.
        """
        request = rank_request(item_ids, user_id, history, append, limit, objective_weights, context, min_position)
        return self._call(lambda stub: stub.Rank, request, timeout)

    def similar(
        self,
        item_ids: Sequence[Id],
        *,
        limit: int = DEFAULT_LIMIT,
        exclude: Iterable[Id] = (),
        event: str = "",
        timeout: float | None = None,
    ) -> Recommendations:
        """The best ``limit`` items to go with an item, or with a basket of several.

        Args:
            item_ids: the items, 1 to 5000; they are never in the list.
            limit: how many items, 1 to 1000.
            exclude: items that may not be in the list, such as those the user has.
            event: a kind of interaction that the bundle counts as a like. "buy" ranks by the items that people then
                buy. Empty for interactions of any kind.
            timeout: seconds for this call, in place of the client's.

        Raises:
            TypeError: as for :meth:`recommend`.
            ShortlistError: as for :meth:`recommend`.
        """
        request = similar_request(item_ids, limit, exclude, event)
        return self._call(lambda stub: stub.Similar, request, timeout)

    def close(self) -> None:
        """Ends the calls in flight and closes the connections."""
        self._closed = True
        self._channels.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _call(
        self,
        method: Callable[[RankingServiceStub], grpc.UnaryUnaryMultiCallable[Request, Response]],
        request: Request,
        timeout: float | None,
    ) -> Recommendations:
        _require_open(self._closed)
        seconds = self._timeout if timeout is None else timeout
        with contextlib.ExitStack() as connections:

            def ready() -> grpc.UnaryUnaryMultiCallable[Request, Response]:
                return method(connections.enter_context(self._channels.stub()))

            metadata = self._channels.metadata()
            try:
                if self._hedging is None:
                    response = ready()(request, timeout=seconds, metadata=metadata)
                else:
                    response = self._hedging.call(lambda: ready().future(request, timeout=seconds, metadata=metadata))
            except grpc.RpcError as error:
                raise read_failure(error, self._security) from error
        return read_recommendations(response)


class AsyncRecommender:
    """:class:`Recommender` for asyncio: made, used and closed within one event loop."""

    def __init__(
        self,
        target: str,
        *,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        hedge_after: float | None = None,
        security: ClientSecurity = _PLAINTEXT,
    ) -> None:
        self._channels = AsyncChannels(target, RankingServiceStub, _OPTIONS, security)
        self._hedging = None if hedge_after is None else Hedging(hedge_after)
        self._timeout, self._security = timeout, security
        self._closed = False

    async def recommend(
        self,
        *,
        user_id: Id = "",
        history: Sequence[HistoryItem | Id] = (),
        append: bool = False,
        limit: int = DEFAULT_LIMIT,
        exclude: Iterable[Id] = (),
        candidates: int = 0,
        keep_seen: bool = False,
        objective_weights: Mapping[str, float] | None = None,
        context: Context | None = None,
        min_position: int = 0,
        timeout: float | None = None,
    ) -> Recommendations:
        """See :meth:`Recommender.recommend`."""
        request = recommend_request(
            user_id, history, append, limit, exclude, candidates, keep_seen, objective_weights, context, min_position
        )
        return await self._call(lambda stub: stub.Recommend, request, timeout)

    async def rank(
        self,
        *,
        item_ids: Sequence[Id],
        user_id: Id = "",
        history: Sequence[HistoryItem | Id] = (),
        append: bool = False,
        limit: int = DEFAULT_LIMIT,
        objective_weights: Mapping[str, float] | None = None,
        context: Context | None = None,
        min_position: int = 0,
        timeout: float | None = None,
    ) -> Recommendations:
        """See :meth:`Recommender.rank`."""
        request = rank_request(item_ids, user_id, history, append, limit, objective_weights, context, min_position)
        return await self._call(lambda stub: stub.Rank, request, timeout)

    async def similar(
        self,
        item_ids: Sequence[Id],
        *,
        limit: int = DEFAULT_LIMIT,
        exclude: Iterable[Id] = (),
        event: str = "",
        timeout: float | None = None,
    ) -> Recommendations:
        """See :meth:`Recommender.similar`."""
        request = similar_request(item_ids, limit, exclude, event)
        return await self._call(lambda stub: stub.Similar, request, timeout)

    async def close(self) -> None:
        """Ends the calls in flight and closes the connections."""
        self._closed = True
        await self._channels.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _call(
        self,
        method: Callable[[RankingServiceAsyncStub], grpc.aio.UnaryUnaryMultiCallable[Request, Response]],
        request: Request,
        timeout: float | None,
    ) -> Recommendations:
        _require_open(self._closed)
        seconds = self._timeout if timeout is None else timeout
        with contextlib.ExitStack() as connections:

            def start() -> grpc.aio.UnaryUnaryCall[Request, Response]:
                stub = connections.enter_context(self._channels.stub())
                return method(stub)(request, timeout=seconds, metadata=self._channels.metadata())

            try:
                response = await (start() if self._hedging is None else self._hedging.call_async(start))
            except grpc.RpcError as error:
                raise read_failure(error, self._security) from error
            except asyncio.CancelledError:
                # A closed channel raises it too. The cancellation of a task by somebody else goes on.
                task = asyncio.current_task()
                if self._closed and (task is None or not task.cancelling()):
                    raise ShortlistError("this client was closed while it called") from None
                raise
        return read_recommendations(response)


def _require_open(closed: bool) -> None:
    if closed:
        raise ShortlistError("this client is closed; make a new one")
