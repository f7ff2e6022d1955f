"""The client of the ranking service, and the connections that all clients share."""

from shortlist.client.recommender import AsyncRecommender, Recommender

__all__ = ["AsyncRecommender", "Recommender"]
