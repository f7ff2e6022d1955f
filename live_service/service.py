"""The live service: its server, and the opening of its store."""

import functools

import grpc

from live_service.live_events import LiveEvents
from live_service.servicer import EventServicer
from live_service.settings import LiveSettings
from live_service.store.sqlite_store import SqliteStore
from shortlist.live.v1.event_service_pb2 import DESCRIPTOR
from shortlist.live.v1.event_service_pb2_grpc import add_EventServiceServicer_to_server
from shortlist.serving.server import serve
from shortlist.serving.settings import ServerSettings

SERVICE = DESCRIPTOR.services_by_name["EventService"].full_name


def serve_live(settings: ServerSettings, live: LiveSettings) -> int:
    """Serves until a signal comes; returns the exit code, 3 when the store cannot be used."""
    events = LiveEvents(functools.partial(SqliteStore.open, live.store), live.retention)

    def add_services(server: grpc.Server) -> None:
        add_EventServiceServicer_to_server(EventServicer(events, live.retention), server)

    return serve(settings=settings, service_names=[SERVICE], add_services=add_services, loader=events)
