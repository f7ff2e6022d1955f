"""The live service: its server, and the opening of its store."""

import functools

import grpc

from live_service.catalog_servicer import CatalogServicer
from live_service.live_catalog import LiveCatalog
from live_service.live_events import LiveEvents
from live_service.servicer import EventServicer
from live_service.settings import LiveSettings
from live_service.store.opening import open_store
from shortlist.live.v1 import catalog_service_pb2, event_service_pb2
from shortlist.live.v1.catalog_service_pb2_grpc import add_CatalogServiceServicer_to_server
from shortlist.live.v1.event_service_pb2_grpc import add_EventServiceServicer_to_server
from shortlist.serving.server import serve
from shortlist.serving.settings import ServerSettings

SERVICES = [
    service.full_name
    for file in (event_service_pb2, catalog_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
]


def serve_live(settings: ServerSettings, live: LiveSettings) -> int:
    """Serves until a signal comes; returns the exit code, 3 when the store cannot be used."""
    events = LiveEvents(functools.partial(open_store, live.store), live.retention)

    def add_services(server: grpc.Server) -> None:
        add_EventServiceServicer_to_server(EventServicer(events, live.retention), server)
        add_CatalogServiceServicer_to_server(CatalogServicer(LiveCatalog(events.catalog, events.change_items)), server)

    return serve(settings=settings, service_names=SERVICES, add_services=add_services, loader=events)
