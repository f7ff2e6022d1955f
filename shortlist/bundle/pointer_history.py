"""The versions that the pointer of a directory has named, and the ones that were proven to work."""

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from shortlist.bundle.regular_files import read_at_most

HISTORY = ".history"
_PROVEN = "proven"
_KEPT, _MAX_BYTES = 200, 2**16


class PointerHistory:
    """A file with a line for each change, the latest last. It only advises: without it, versions are ordered by id.

    Writers hold the lock of the directory.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / HISTORY

    def ids(self) -> list[str]:
        """The ids that the pointer named, the latest last."""
        return [one for one, *marks in self._lines() if not marks]

    def before(self, bundle_id: str) -> list[str]:
        """The ids that the pointer named before it first named this one, the latest first, each once."""
        ids = self.ids()
        earlier = ids[: ids.index(bundle_id)] if bundle_id in ids else []
        return list(dict.fromkeys(reversed(earlier)))

    def is_proven(self, bundle_id: str) -> bool:
        """Whether the version was proven."""
        return [bundle_id, _PROVEN] in self._lines()

    def add(self, bundle_id: str) -> None:
        """Notes that the pointer names this version from now on."""
        if self.ids()[-1:] != [bundle_id]:
            self._write([*self._lines(), [bundle_id]])

    def prove(self, bundle_id: str) -> None:
        """Notes that this version was proven."""
        if not self.is_proven(bundle_id):
            self._write([*self._lines(), [bundle_id, _PROVEN]])

    def _lines(self) -> list[list[str]]:
        with contextlib.suppress(OSError, ValueError):
            return [line.split() for line in read_at_most(self._path, _MAX_BYTES).decode().splitlines() if line.strip()]
        return []

    def _write(self, lines: Iterable[Sequence[str]]) -> None:
        # Replaced as a whole. It need not reach the disk before the pointer does.
        new = self._path.with_name(f"{HISTORY}.new")
        try:
            new.write_text("".join(" ".join(line) + "\n" for line in [*lines][-_KEPT:]), encoding="utf-8")
            new.replace(self._path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
