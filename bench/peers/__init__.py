"""The same recommender on other servers, measured beside ours; see the README here."""
