"""The users whom the live service has forgotten, read every second for the time when it is away."""

import logging
import threading

import grpc

from shortlist.client.channels import Channels
from shortlist.live.v1 import event_service_pb2 as pb
from shortlist.live.v1.event_service_pb2_grpc import EventServiceStub
from shortlist.user_hash import user_hash

_LOG = logging.getLogger(__name__)
_POLL_SECONDS, _CALL_SECONDS = 1.0, 2.0


class ForgottenUsers:
    """Positions of forgotten users by keyed hashes of their ids. A thread of its own reads them. Thread-safe."""

    def __init__(self, channels: Channels[EventServiceStub]) -> None:
        self._channels = channels
        self._key: bytes | None = None
        self._position, self._positions = 0, dict[bytes, int]()
        self._closed, self._failure = threading.Event(), ""
        threading.Thread(target=self._keep_reading, name="forgotten", daemon=True).start()

    def position_of(self, user_id: str, known: int) -> int | None:
        """The position at which a user was last forgotten, 0 for never; None until the list has been read.

        ``known`` is a position that the store has had. A store that has not reached it is another one, whose positions
        cannot be compared. Then each user of the list counts as forgotten later.
        """
        if self._key is None:
            return None
        position = self._positions.get(user_hash(self._key, user_id), 0) if self._positions else 0
        return known + 1 if position and self._position < known else position

    def close(self) -> None:
        """Ends the reading."""
        self._closed.set()

    def _keep_reading(self) -> None:
        while not self._closed.is_set():
            try:
                while self._read():
                    pass
                self._note("")
            except grpc.RpcError as error:
                self._note(error.code().name)
            except ValueError:
                # The connections are closed.
                return
            self._closed.wait(_POLL_SECONDS)

    def _note(self, failure: str) -> None:
        """Logs each change: why the list cannot be read, and that it can be read again."""
        if failure == self._failure:
            return
        self._failure = failure
        if failure:
            _LOG.warning("the list of forgotten users cannot be read: %s; trying it again each second", failure)
        else:
            _LOG.info("the list of forgotten users can be read again")

    def _read(self) -> bool:
        """Reads the users who were forgotten since the last time; whether there are more."""
        request = pb.GetForgottenRequest(after_position=self._position)
        with self._channels.stub() as stub:
            response = stub.GetForgotten(request, timeout=_CALL_SECONDS, metadata=self._channels.metadata())
        if self._key is not None and response.hash_key != self._key:
            # Another store, of which everything has to be read.
            self._key, self._position, self._positions = None, 0, {}
            return True
        self._positions.update((user.user_hash, user.position) for user in response.users)
        self._position = response.position
        if not response.has_more:
            self._key = response.hash_key
        return bool(response.has_more)
