"""The interface of every store of events."""

from collections.abc import Sequence
from typing import Protocol

from live_service.events import Event, Forgotten, ForgottenUsers, Histories, Page, Recorded


class EventStore(Protocol):
    """Keeps events durably. All methods are thread-safe.

    A position counts the changes of a store. It never falls. Whatever a method has returned survives the end of the
    process and of the machine. Several processes may share a store that is a database.
    """

    def record(self, events: Sequence[Event]) -> Recorded:
        """Records all events, or none.

        An event whose id is known is a duplicate when it is the same, and a conflict when it differs. An event that
        takes another one back removes it from histories, in any order of arrival.

        Raises:
            Unavailable: the store cannot write; nothing is recorded. When a connection is lost during the commit, all
                events may be.
        """

    def histories(self, user_ids: Sequence[str], limit: int, after: int | None, after_position: int = 0) -> Histories:
        """The latest ``limit`` interactions of each user, later than ``after`` where it is given.

        ``after`` is in nanoseconds since 1970. All were recorded after ``after_position``. Interactions are in the
        order of their times, and of their ids where times are the same. So any order of arrival gives the same history.

        Raises:
            Unavailable: the store cannot read.
        """

    def forget(self, user_id: str) -> Forgotten:
        """Deletes all events of a user, and the id wherever the store has it.

        A store in files of its own leaves no byte of the id in them. A database may keep old versions of rows.

        The keyed hash of the id stays, because bundles may still hold the user, whether the store knew them or not.

        Raises:
            Unavailable: the store cannot write, or readers keep an old state; some events may be gone.
        """

    def forgotten(self, after_position: int, limit: int) -> ForgottenUsers:
        """The first ``limit`` users who were forgotten after a position.

        Raises:
            Unavailable: the store cannot read.
        """

    def page(self, after: str, limit: int) -> Page:
        """The next ``limit`` events of the list of all events, behind the place ``after``; empty for the beginning.

        Users follow each other in any order, and the events of a user in the order of a history. Events that are taken
        back, and those that take one back, are not in the list.

        Raises:
            ValueError: ``after`` is no place of this store.
            Unavailable: the store cannot read.
        """

    def trim(self, oldest: int, most_per_user: int) -> int:
        """Deletes events before ``oldest``, and the oldest of users with more than ``most_per_user``; their number.

        ``oldest`` is in nanoseconds since 1970.

        Raises:
            Unavailable: the store cannot write.
        """

    def close(self) -> None:
        """Ends the use of the store."""
