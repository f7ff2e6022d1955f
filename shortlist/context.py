"""The values that describe a call, by name. In a module of its own, because the client needs no numpy."""

from collections.abc import Mapping

Context = Mapping[str, str | float]
