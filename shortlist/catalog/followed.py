"""A loader whose data is served together with the catalogue of a live service."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from shortlist.catalog.follower import CatalogFollower


class Loader(Protocol):
    """See ``shortlist.serving.server.Loader``."""

    def load(self) -> None:
        """Loads the data."""

    def watching(self) -> AbstractContextManager[None]:
        """Follows its changes."""


class FollowedLoader:
    """Loads like another ``loader``, and follows the catalogue from the first load to the last call."""

    def __init__(self, loader: Loader, follower: CatalogFollower) -> None:
        self._loader, self._follower = loader, follower

    def load(self) -> None:
        """Loads the data, and waits for the first word on hidden items.

        Raises:
            LoadError: the data cannot be used.
        """
        self._follower.start()
        try:
            self._loader.load()
        except BaseException:
            self._follower.close()
            raise
        self._follower.wait()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Follows the changes of both while the block runs."""
        with self._loader.watching():
            try:
                yield
            finally:
                self._follower.close()
