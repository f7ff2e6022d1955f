"""Shortlist's Python client: it calls the services, and returns typed answers or raises typed errors."""

from importlib import import_module
from typing import TYPE_CHECKING

from shortlist.errors import ShortlistError

# The one place of the version: packages, bundles and the changelog follow it.
__version__ = "0.1.0"

if TYPE_CHECKING:
    from shortlist.client import AsyncRecommender, CatalogClient, Event, EventClient, Item, Recommender
    from shortlist.client.messages import HistoryItem, Recommendation, Recommendations
else:
    # Loaded on first use (PEP 562): a program that opens a bundle and calls no service does without the client's
    # dependencies.
    _MODULES = {
        "AsyncRecommender": "shortlist.client",
        "CatalogClient": "shortlist.client",
        "Event": "shortlist.client",
        "EventClient": "shortlist.client",
        "Item": "shortlist.client",
        "HistoryItem": "shortlist.client.messages",
        "Recommendation": "shortlist.client.messages",
        "Recommendations": "shortlist.client.messages",
        "Recommender": "shortlist.client",
    }

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "AsyncRecommender",
    "CatalogClient",
    "Event",
    "EventClient",
    "HistoryItem",
    "Item",
    "Recommendation",
    "Recommendations",
    "Recommender",
    "ShortlistError",
]
