"""Receives the message of a call before the call takes a thread.

gRPC gives each call to a pool as soon as its headers arrive. The pool's thread then waits for the message, and nothing
bounds that wait: a caller who sends only headers holds the thread. No public API receives a message without a thread.
So this module, and no other, relies on the arguments of gRPC's ``submit`` and on gRPC's record of a call. A server
does not start with a release of gRPC that has changed them.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
from grpc import _server
from grpc._cython.cygrpc import ReceiveMessageOperation, auth_context  # type: ignore[import-not-found]

from shortlist.errors import FieldViolation, InvalidRequest
from shortlist.serving.pools import start_threads
from shortlist.serving.waiting import Waiting
from shortlist.status import to_status

_LOG = logging.getLogger(__name__)
_NO_FLAGS, _CERTIFICATE = 0, b"x509_pem_cert"
# The parameters of gRPC's functions that handle a call, and the parts of its module that are used here.
_PARAMETERS = (
    "rpc_event",
    "state",
    "behavior",
    "argument_thunk",
    "request_deserializer",
    "response_serializer",
)
_RESPONDS = ("_unary_response_in_pool", "_stream_response_in_pool")
_PARTS = ("_receive_message", "_is_rpc_state_active", "_RECEIVE_MESSAGE_TOKEN", *_RESPONDS)
# gRPC adds a callback to each future. All of them share this one, since making a future costs as much as a lock.
DONE: Future[Any] = Future()
DONE.set_result(None)


class Incoming:
    """A call whose headers have arrived, and later its one message."""

    __slots__ = ("_behaviour", "_event", "_parse", "_respond", "_run", "_serializer", "_state", "size")

    def __init__(self, run: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self._run = run
        self._respond, self._event, self._state, self._behaviour, _, self._parse, self._serializer = arguments
        # The bytes of the answer, once there is one.
        self.size = 0

    @property
    def when_full(self) -> Callable[[], grpc.Status]:
        """Makes the status for a pool that is full, as :func:`refusing` has set it."""
        made: Callable[[], grpc.Status] = self._behaviour.when_full
        return made

    @property
    def connection(self) -> bytes:
        """Tells the connection of the call from others."""
        peer: bytes = self._event.call.peer()
        return peer

    @property
    def certificate(self) -> bytes:
        """The caller's certificate in PEM; empty when it showed none."""
        certificates: Sequence[bytes] = (auth_context(self._event.call) or {}).get(_CERTIFICATE, ())
        return certificates[0] if certificates else b""

    def receive(self, received: Callable[[], None]) -> None:
        """Calls ``received`` once, in gRPC's serving thread: when the message has arrived, or when none will."""
        state, call = self._state, self._event.call
        take = _server._receive_message(state, call, self._parse)

        def arrived(event: object) -> object:
            outcome = take(event)
            try:
                received()
            except Exception:
                # It would end gRPC's serving thread, and with it the server.
                _LOG.exception("cannot take a call")
                self.cancel()
            return outcome

        with state.condition:
            call.start_server_batch((ReceiveMessageOperation(_NO_FLAGS),), arrived)
            state.due.add(_server._RECEIVE_MESSAGE_TOKEN)

    @property
    def has_message(self) -> bool:
        """Whether the message has arrived and has not been taken."""
        return self._state.request is not None

    @property
    def is_active(self) -> bool:
        """Whether the call was neither cancelled nor answered."""
        active: bool = _server._is_rpc_state_active(self._state)
        return active

    def when_ended(self, ended: Callable[[], None]) -> bool:
        """Calls ``ended`` once, in gRPC's serving thread, when the answer has been sent or the call was cancelled.

        Returns:
            False, when the call has ended already.
        """
        with self._state.condition:
            if self._state.callbacks is None:
                return False
            self._state.callbacks.append(ended)
            return True

    def respond(self) -> None:
        """Handles the message in this thread and sends the answer; does nothing when the call was cancelled."""
        self._answer(self._behaviour, self._take, self._serialize)

    def refuse(self, refused: Callable[[], grpc.Status]) -> None:
        """Ends the call with a status; does nothing when the call was cancelled."""

        def behaviour(_: object, context: grpc.ServicerContext) -> None:
            context.abort_with_status(refused())

        self._answer(behaviour, lambda: b"", None)

    def cancel(self) -> None:
        """Ends the call without an answer."""
        self._event.call.cancel()

    def _answer(
        self, behaviour: Callable[..., object], take: Callable[[], object], serializer: Callable[..., bytes] | None
    ) -> None:
        self._run(self._respond, self._event, self._state, behaviour, take, None, serializer)

    def _take(self) -> object:
        # gRPC handles no call whose message is None.
        with self._state.condition:
            message, self._state.request = self._state.request, None
            return message if self.is_active else None

    def _serialize(self, response: object) -> bytes:
        answer: bytes = self._serializer(response)
        self.size = len(answer)
        return answer


def require_known_grpc() -> None:
    """Raises ImportError when this module does not know the installed release of gRPC."""
    parts_exist = all(hasattr(_server, part) for part in _PARTS)
    if not parts_exist or any(_parameters(name) != _PARAMETERS for name in _RESPONDS):
        advice = "install the one that deploy/locks/serving.txt names"
        raise ImportError(f"this release of Shortlist cannot serve with grpcio {grpc.__version__}; {advice}")


def refusing(behaviour: Callable[..., Any], when_full: Callable[[], grpc.Status]) -> Callable[..., Any]:
    """Tells a pool how to refuse a call of the behaviour."""
    vars(behaviour)["when_full"] = when_full
    return behaviour


def _parameters(name: str) -> tuple[str, ...]:
    return tuple(inspect.signature(getattr(_server, name)).parameters)


def _no_message() -> grpc.Status:
    return to_status(InvalidRequest((FieldViolation("request", "is missing"),)), "any method")


class ReceivingPool(ThreadPoolExecutor):
    """Threads for gRPC's calls that take none before their message has arrived.

    Raises:
        ImportError: see :func:`require_known_grpc`.
    """

    def __init__(self, threads: int, name: str, messages: Waiting[Incoming], *, started: int) -> None:
        require_known_grpc()
        super().__init__(threads, thread_name_prefix=name)
        self._messages = messages
        start_threads(self, started)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401 - of gRPC
        """Takes a call from gRPC; the result means nothing."""
        call = Incoming(fn, args)
        try:
            if self.accepts(call):
                self._messages.add(call)
                call.receive(lambda: self._receive(call))
            else:
                call.refuse(call.when_full)
        except Exception:
            # It would end gRPC's serving thread, and with it the server.
            _LOG.exception("cannot take a call")
            call.cancel()
        return DONE

    def accepts(self, call: Incoming) -> bool:
        """Whether a call whose headers have arrived may go on."""
        return True

    def begin(self, call: Incoming) -> None:
        """Handles a call whose message has arrived, in one of the threads."""
        super().submit(call.respond)

    def _receive(self, call: Incoming) -> None:
        if not self._messages.remove(call):
            # Its time was over.
            return
        if call.has_message:
            self.begin(call)
        elif call.is_active:
            call.refuse(_no_message)


class ServingThread(ReceivingPool):
    """Handles each call at once, in the thread that gRPC serves with: only for what takes microseconds."""

    def __init__(self, messages: Waiting[Incoming]) -> None:
        super().__init__(1, "none", messages, started=0)

    def begin(self, call: Incoming) -> None:
        """Handles a call whose message has arrived, in this thread."""
        call.respond()
