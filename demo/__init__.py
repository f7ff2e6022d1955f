"""The whole of Shortlist on MovieLens-100K, in one command."""
