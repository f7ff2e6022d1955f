"""What calls the services."""

from shortlist.client.recommender import AsyncRecommender, Recommender

__all__ = ["AsyncRecommender", "Recommender"]
