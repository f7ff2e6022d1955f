"""Progress of a training, and its warnings, for people."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")


class Reporter:
    """Receives the progress of a training, and keeps its warnings. This one prints nothing."""

    def __init__(self) -> None:
        self._warnings: dict[str, None] = {}

    def say(self, text: str) -> None:
        """One line that stays."""

    def track(self, items: Sequence[T], name: str) -> Iterator[T]:
        """The items, with a bar that moves while they are worked on."""
        yield from items

    def warn(self, text: str) -> None:
        """Something was dropped, merged, unmatched or degenerate. The same text counts once."""
        self._warnings[text] = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """All warnings so far, each once, in their order."""
        return tuple(self._warnings)


class ConsoleReporter(Reporter):
    """A bar on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console) -> None:
        super().__init__()
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

    def show_warnings(self) -> None:
        """Prints all warnings as one block."""
        if self.warnings:
            self._console.print(f"warnings: {len(self.warnings)}", style="yellow", highlight=False)
        for text in self.warnings:
            self._console.print(f"- {text}", style="yellow", highlight=False, markup=False, soft_wrap=True)
