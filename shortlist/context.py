"""What a call says of itself: here for the client, too, which needs no numpy."""

from collections.abc import Mapping

Context = Mapping[str, str | float]
