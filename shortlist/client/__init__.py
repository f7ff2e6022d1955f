"""The clients of the ranking service and of the live service, and the connections that all clients share."""

from shortlist.client.catalog import CatalogClient
from shortlist.client.event_messages import Event
from shortlist.client.events import EventClient
from shortlist.client.item_messages import Item
from shortlist.client.recommender import AsyncRecommender, Recommender

__all__ = ["AsyncRecommender", "CatalogClient", "Event", "EventClient", "Item", "Recommender"]
