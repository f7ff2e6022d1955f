"""Protocols: the training, validation and test parts of a data set. A new one is a file, a name here and a line in
``trainer/protocols/registry.py``.
"""

OF_LISTS = ("next-like", "leave-one-out", "lightgcn-split", "strong-generalisation", "cold-items", "cold-users")
"""The names of the protocols whose answers are ranked lists."""

IMPRESSIONS, RATING = OF_PREDICTIONS = ("impressions", "rating")
"""The names of the protocols whose answers are predictions."""

DEFAULT = "next-like"
"""The protocol that a bundle is measured by."""
