"""Progress of a training, for people."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")


class Reporter(Protocol):
    """Receives the progress of a training."""

    def say(self, text: str) -> None:
        """One line that stays."""

    def track(self, items: Sequence[T], name: str) -> Iterator[T]:
        """The items, with a bar that moves while they are worked on."""


class ConsoleReporter:
    """A bar on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str) -> None:
        """See :class:`Reporter`."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def track(self, items: Sequence[T], name: str) -> Iterator[T]:
        """See :class:`Reporter`."""
        columns: tuple[Any, ...] = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        # Transient: the line with the figures takes the bar's place.
        disable = not self._console.is_terminal
        with Progress(
            *columns, TimeRemainingColumn(), console=self._console, transient=True, disable=disable
        ) as progress:
            yield from progress.track(items, description=name)
