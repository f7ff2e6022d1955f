"""Progress of a training, and its warnings, for people."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
# Off a terminal, seconds from the start of some work to its first line, and from each line to the next.
_FIRST, _EVERY = 5.0, 30.0


def each_is_one(_: object) -> int:
    """The size of an item that is one unit of work."""
    return 1


class Reporter:
    """Receives the progress of a training, and keeps its warnings. This one prints nothing."""

    def __init__(self) -> None:
        self._warnings: dict[str, None] = {}

    def say(self, text: str) -> None:
        """One line that stays."""

    def track(
        self, items: Sequence[T], name: str, unit: str = "steps", size: Callable[[T], int] = each_is_one
    ) -> Iterator[T]:
        """The items, with their progress while they are worked on; each is ``size`` units of work."""
        yield from items

    def warn(self, text: str) -> None:
        """Something was dropped, merged, unmatched or degenerate. The same text counts once."""
        self._warnings[text] = None

    def conclude(self, text: str) -> None:
        """One of the last lines, which follow the warnings."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """All warnings so far, each once, in their order."""
        return tuple(self._warnings)


class ConsoleReporter(Reporter):
    """A bar on a terminal. Elsewhere plain lines: of longer work the first after 5 s, then one every 30 s."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._console, self._clock = console, clock
        self._conclusions: list[str] = []

    def say(self, text: str) -> None:
        """See :class:`Reporter`."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def track(
        self, items: Sequence[T], name: str, unit: str = "steps", size: Callable[[T], int] = each_is_one
    ) -> Iterator[T]:
        """See :class:`Reporter`."""
        return self._bar(items, name) if self._console.is_terminal else self._lines(items, name, unit, size)

    def _bar(self, items: Sequence[T], name: str) -> Iterator[T]:
        columns: tuple[Any, ...] = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        # Transient: the line with the figures takes the bar's place.
        with Progress(*columns, TimeRemainingColumn(), console=self._console, transient=True) as progress:
            yield from progress.track(items, description=name)

    def _lines(self, items: Sequence[T], name: str, unit: str, size: Callable[[T], int]) -> Iterator[T]:
        total, done, started = sum(map(size, items)), 0, self._clock()
        due = started + _FIRST
        for item in items:
            yield item
            done, now = done + size(item), self._clock()
            if now < due or done >= total:
                continue
            rate = done / (now - started)
            left = (total - done) / max(rate, 1e-9)
            self.say(f"{name}: {done:,} of {total:,} {unit}, {rate:,.0f} a second, {left:,.0f} s left")
            due = now + _EVERY

    def conclude(self, text: str) -> None:
        """See :class:`Reporter`."""
        self._conclusions.append(text)

    def finish(self) -> None:
        """Prints all warnings as one block, and then the last lines."""
        if self.warnings:
            self._console.print(f"warnings: {len(self.warnings)}", style="yellow", highlight=False)
        for text in self.warnings:
            self._console.print(f"- {text}", style="yellow", highlight=False, markup=False, soft_wrap=True)
        for text in self._conclusions:
            self.say(text)
