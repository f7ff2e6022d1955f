"""Follows the catalogue of a live service, for as long as a service runs."""

import logging
import threading
import time

import grpc

from shortlist.bundle.tables import ItemTables
from shortlist.catalog.catalog import Catalog
from shortlist.client.channels import Channels
from shortlist.client.service_config import balancing_of, channel_options
from shortlist.client.tls_cause import tls_cause
from shortlist.inference.live_items import Describe, LiveItems
from shortlist.live.v1 import catalog_service_pb2 as pb
from shortlist.live.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.observability import metrics
from shortlist.observability.throttled import Throttled
from shortlist.security.settings import ClientSecurity

_LOG = logging.getLogger(__name__)
_THROTTLED = Throttled(_LOG)
# A sign of life comes every half second. After several without one, another connection is tried.
_SILENT_SECONDS = 5.0
_TICK_SECONDS = 0.1
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 0.4
_FIRST_WORD_SECONDS = 10.0
_MOST_LOGGED_CHARS = 200
# The live service may come back at any moment, and an item that is hidden then has to be gone a second later.
_OPTIONS = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 300)]


class CatalogFollower:
    """Keeps a :class:`Catalog` up to date. While the live service is away, its last state stays."""

    def __init__(self, target: str, security: ClientSecurity) -> None:
        service = "shortlist.live.v1.CatalogService"
        config = channel_options(service, attempts=2, backoff_seconds=0.01, balancing=balancing_of(target))
        self._channels = Channels(target, CatalogServiceStub, [*config, *_OPTIONS], security)
        self._security = security
        self.catalog = Catalog()
        """The items that may not be shown now."""
        self._stopped = threading.Event()
        self._heard = self._began = time.monotonic()
        self._call: grpc.Call | None = None
        self._threads = [
            threading.Thread(target=run, name="catalog", daemon=True)
            for run in (self._follow, self._keep_time, self._describe)
        ]

    def start(self) -> None:
        """Follows from now on, in threads of its own."""
        self._heard = time.monotonic()
        metrics.CATALOG_SILENCE_SECONDS.set_function(lambda: time.monotonic() - self._heard)
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Waits until the hidden items are known, for ten seconds at most: any answer is better than none."""
        if not self.catalog.wait(_FIRST_WORD_SECONDS):
            _LOG.error("the live service has not told of the hidden items, so they are shown until it does")

    def live_items(self, items: ItemTables, describe: Describe) -> LiveItems:
        """The live items of a bundle, with all that the live service has now, and following further changes.

        Without an answer they come once the live service is followed again.
        """
        made = self.catalog.live_items(items, describe)
        try:
            self._replay(made)
        except (grpc.RpcError, ValueError) as error:
            _LOG.warning("the live items are not known yet: %s", self._described(error))
            self.catalog.forget_place()
            if self._call is not None:
                self._call.cancel()
            return made
        # So that a new bundle has them from its first answer on.
        self.catalog.wait(_FIRST_WORD_SECONDS)
        while self.catalog.describe(made):
            pass
        return made

    def _replay(self, live_items: LiveItems) -> None:
        request = pb.WatchChangesRequest()
        with self._channels.stub() as stub:
            call = stub.WatchChanges(request, timeout=_FIRST_WORD_SECONDS, metadata=self._channels.metadata())
            for message in call:
                self.catalog.replay(live_items, message)
                if message.is_current:
                    call.cancel()
                    return

    def close(self) -> None:
        """Ends the connections and the threads."""
        self._stopped.set()
        self._channels.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _follow(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopped.is_set():
            before = self._heard
            try:
                self._watch()
            except (grpc.RpcError, ValueError) as error:
                # A channel that is closed raises ValueError.
                # A call that brought something ends with its connection, whose age is bounded. The next one follows on.
                if not self._stopped.is_set() and self._heard == before:
                    _THROTTLED.warning("the catalogue is not followed: %s", self._described(error))
            self.catalog.drop_incomplete()
            pause = _FIRST_PAUSE_SECONDS if self._heard > before else min(pause * 2, _LONGEST_PAUSE_SECONDS)
            self._stopped.wait(pause)

    def _watch(self) -> None:
        store_id, position = self.catalog.place
        request = pb.WatchChangesRequest(store_id=store_id, from_position=position)
        with self._channels.stub() as stub:
            self._began = time.monotonic()
            messages = stub.WatchChanges(request, metadata=self._channels.metadata())
            self._call = messages
            for message in messages:
                self.catalog.take(message)
                self._heard = time.monotonic()

    def _keep_time(self) -> None:
        """Hides and shows items at their moments, and ends a call that says nothing."""
        while not self._stopped.wait(_TICK_SECONDS):
            self.catalog.pass_time()
            call = self._call
            if call is not None and time.monotonic() - max(self._heard, self._began) > _SILENT_SECONDS:
                call.cancel()

    def _describe(self) -> None:
        """Describes live items apart from the changes, so that many of them delay no hiding."""
        while not self._stopped.is_set():
            self.catalog.describe_all(_SILENT_SECONDS / 10)

    def _described(self, error: Exception) -> str:
        if not isinstance(error, grpc.RpcError):
            return str(error)
        details = error.details() or ""
        text = tls_cause(details, self._security) or details
        return f"{error.code().name}: {text[:_MOST_LOGGED_CHARS]!a}"
