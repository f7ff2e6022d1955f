"""The same recommender on other servers beside ours; see README.md in this folder."""
