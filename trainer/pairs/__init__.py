"""The item-to-item tables: what follows an item, and what it foretells."""

from trainer.pairs.followers import follow_counts, follower_pairs
from trainer.pairs.similarity import similar_pairs

__all__ = ["follow_counts", "follower_pairs", "similar_pairs"]
