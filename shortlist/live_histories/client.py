"""The client of the live service, which has the interactions since the bundle was trained."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import grpc

from shortlist.bundle import Bundle, Manifest
from shortlist.bundle.tables import ItemTables
from shortlist.catalog.describer import Describer
from shortlist.catalog.follower import CatalogFollower
from shortlist.client.channels import Channels
from shortlist.client.circuit import Circuit
from shortlist.client.service_config import balancing_of, channel_options
from shortlist.client.tls_cause import tls_cause
from shortlist.inference.hidden_rows import HiddenRows
from shortlist.inference.live_items import LiveItems
from shortlist.inference.users import IdHistory
from shortlist.live.v1 import event_service_pb2 as pb
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from shortlist.live_histories.forgotten import ForgottenUsers
from shortlist.observability import metrics
from shortlist.security.settings import ClientSecurity
from shortlist.wire.messages import read_history

# The latest of each user. The histories of a batch fit into a message, however long their ids are.
_MOST_INTERACTIONS = 400
# A timeout shorter than this says nothing about the health of the live service.
_TELLING_SECONDS = 0.02
_MOST_LOGGED_CHARS = 200
_OPTIONS = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000)]


class LiveFailed(Exception):  # noqa: N818 - an outcome that is handled, not an error of ours
    """The live service gave no histories."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The end of a bundle's knowledge: a ``position`` of the live service, 0 for none, or a ``time``, None for none.

    The time is in nanoseconds since 1970.
    """

    position: int = 0
    time: int | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """A position is exact: it leaves no event between the bundle and the live service, however late it came."""
        if manifest.known_position is not None:
            return cls(position=manifest.known_position)
        return cls(time=manifest.known_until)


@dataclass(frozen=True, kw_only=True)
class LiveHistories:
    """The history of each user since the bundle, as of one ``position``.

    ``forgotten`` has for each user the position at which they were last forgotten, 0 for never.
    """

    position: int
    histories: Sequence[IdHistory]
    forgotten: Sequence[int]


class LiveClient:
    """Connections to the live service. Thread-safe."""

    def __init__(self, target: str, security: ClientSecurity) -> None:
        config = channel_options(
            "shortlist.live.v1.EventService", attempts=2, backoff_seconds=0.01, balancing=balancing_of(target)
        )
        self._channels = Channels(target, EventServiceStub, [*config, *_OPTIONS], security)
        self.follower = CatalogFollower(target, security)
        """Follows the hidden items, once it is started."""
        self._circuit, self._security = Circuit("the live service", metrics.LIVE_CIRCUIT_OPEN), security
        self.forgotten = ForgottenUsers(self._channels)
        """The users who were forgotten, for the time when the live service is away."""

    def histories(self, user_ids: Sequence[str], cut: Cut, timeout: float) -> LiveHistories:
        """The interactions of users beyond the ``cut``, within ``timeout`` seconds.

        Raises:
            LiveFailed: the call failed, or the circuit is open because the last ones did. Or the store has not reached
                the position of the cut, so that it is another one.
        """
        if not self._circuit.allows():
            raise LiveFailed("the circuit is open, because the last calls failed")
        request = pb.GetHistoriesRequest(user_ids=user_ids, limit=_MOST_INTERACTIONS, after_position=cut.position)
        if cut.time is not None:
            request.after.FromNanoseconds(cut.time)
        began = time.perf_counter()
        try:
            with self._channels.stub() as stub:
                response = stub.GetHistories(request, timeout=timeout, metadata=self._channels.metadata())
        except grpc.RpcError as error:
            self._report(error.code(), timeout)
            details = error.details() or ""
            text = tls_cause(details, self._security) or details
            raise LiveFailed(f"{error.code().name}: {text[:_MOST_LOGGED_CHARS]!a}") from error
        self._circuit.succeeded()
        metrics.LIVE_SECONDS.observe(time.perf_counter() - began)
        if len(response.histories) != len(user_ids):
            raise LiveFailed(f"gave {len(response.histories)} histories of {len(user_ids)} users")
        if response.position < cut.position:
            raise LiveFailed(
                f"has position {response.position}, and the bundle was trained from a store at {cut.position}"
            )
        return LiveHistories(
            position=response.position,
            histories=[read_history(history.items) for history in response.histories],
            forgotten=[history.forgotten_position for history in response.histories],
        )

    def hidden_rows(self, items: ItemTables) -> HiddenRows:
        """The rows of a bundle that may not be shown, which follow the changes as long as somebody holds them."""
        return self.follower.catalog.hidden_rows(items)

    def live_items(self, bundle: Bundle) -> LiveItems | None:
        """The items of the live catalogue that a bundle does not have; None when it can describe none."""
        if bundle.manifest.new_items_refusal:
            return None
        return self.follower.live_items(bundle.items, Describer(bundle))

    def close(self) -> None:
        """Closes the connections."""
        self.forgotten.close()
        self._channels.close()
        self.follower.close()

    def _report(self, code: grpc.StatusCode, timeout: float) -> None:
        if code is grpc.StatusCode.DEADLINE_EXCEEDED and timeout < _TELLING_SECONDS:
            return
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            self._circuit.failed()
        else:
            # It refuses the call, but it is there.
            self._circuit.succeeded()
