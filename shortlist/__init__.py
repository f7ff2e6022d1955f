"""Shortlist, for a caller: the client of the ranking service, what it answers, and what it raises."""

from shortlist.client import AsyncRecommender, Recommender
from shortlist.errors import ShortlistError
from shortlist.messages import HistoryItem, Recommendation, Recommendations

__all__ = [
    "AsyncRecommender",
    "HistoryItem",
    "Recommendation",
    "Recommendations",
    "Recommender",
    "ShortlistError",
]
