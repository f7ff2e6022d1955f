"""What a service has once its bundle is loaded."""

from typing import Generic, TypeVar

from shortlist.errors import Unavailable

T = TypeVar("T")


class Served(Generic[T]):
    """A place for what answers the calls; empty until the bundle is verified, loaded and warmed."""

    def __init__(self) -> None:
        self._value: T | None = None

    def put(self, value: T) -> None:
        """From now on calls are answered by this."""
        self._value = value

    def get(self) -> T:
        """What answers the calls.

        Raises:
            Unavailable: nothing is loaded yet.
        """
        if self._value is None:
            raise Unavailable("the bundle is still being loaded")
        return self._value
