"""Shortlist, for a caller: the client of the ranking service, what it answers, and what it raises."""

from shortlist.client import AsyncRecommender, Recommender
from shortlist.client.messages import HistoryItem, Recommendation, Recommendations
from shortlist.errors import ShortlistError

__all__ = [
    "AsyncRecommender",
    "HistoryItem",
    "Recommendation",
    "Recommendations",
    "Recommender",
    "ShortlistError",
]
