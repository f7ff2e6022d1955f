"""The manifest of a bundle: its description, and the proof that its files are the ones that were written."""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Self

from msgspec import Meta

from shortlist.bundle.bundle_id import is_bundle_id
from shortlist.bundle.index_info import Candidates, IndexInfo
from shortlist.bundle.json_text import json_text
from shortlist.bundle.manifest_json import converted, nan_for_null, read_json
from shortlist.bundle.ranker_columns import ContextColumn, Objective, check_context, check_objectives
from shortlist.bundle.regular_files import open_regular
from shortlist.errors import BundleError

FORMAT_VERSION = 5
# Readers of this version take every event for seen, which is right for a bundle without `seen_events`.
_EVERY_EVENT_IS_SEEN = 4
_READABLE = (_EVERY_EVENT_IS_SEEN, FORMAT_VERSION)
MANIFEST = "manifest.json"
# Bundles are flat: a name with a separator can only be an attempt to reach something else.
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_BEFORE_NEW_ITEMS = "the bundle was written by a release that could describe no new items: export it again"
# The parts of the manifest with figures, which may be NaN; JSON has null for it.
_FIGURES = ("metrics", "index")
# Rows are 32 bits wide. The other bounds only keep a flipped digit from claiming all memory.
Rows = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Length = Annotated[int, Meta(ge=1, le=2**20)]
# Values are standardised in 32 bits, which must neither overflow nor divide by zero.
Position = Annotated[int, Meta(ge=0, le=2**62)]
Mean = Annotated[float, Meta(ge=-1e30, le=1e30)]
Deviation = Annotated[float, Meta(ge=1e-30, le=1e30)]


@dataclass(frozen=True, kw_only=True)
class FileDigest:
    """The expected content of a file.

    Neither FAISS nor ONNX Runtime notices a flipped bit, so the digest is checked before anything is loaded.
    """

    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    size: Annotated[int, Meta(ge=0, le=2**50)]

    @classmethod
    def of(cls, path: Path) -> Self:
        """The digest of a file as it is now."""
        with open_regular(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return cls(sha256=digest, size=os.fstat(file.fileno()).st_size)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything a service has to know before it opens the other files.

    ``encoder_history`` and ``ranker_history`` are the numbers of latest interactions that each model reads.
    ``value_mean`` and ``value_std`` are in the unit of the interactions' values. ``objectives`` are the columns of the
    ranker's output, and ``context`` the columns that a call may give. ``forced`` says by how much the bundle was worse
    than the one it replaced, where somebody published it nevertheless. ``warnings`` are those of the training.
    ``liked_events`` are the kinds of interaction that count as a like, empty where the recipe names none.
    ``seen_events`` are the events whose items lists leave out; empty where every event is one. ``known_until`` is the
    time of the latest interaction in the stored histories, in nanoseconds since 1970; None where they have no times.
    ``known_position`` is the position of the live service that the training data was read from; the bundle knows every
    event up to it. ``forgotten_position`` is that of the list of forgotten users that the training data was cleaned by.
    ``new_items_refusal`` says why the bundle can describe no new item, and what to change; empty where it can.
    """

    format_version: int
    bundle_id: str
    create_time: str
    libraries: Mapping[str, str]
    dimension: Annotated[int, Meta(ge=1, le=2**20)]
    metric: str
    item_count: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    user_count: Rows
    item_features: tuple[str, ...]
    user_features: tuple[str, ...]
    event_names: tuple[str, ...]
    encoder_history: Length
    ranker_history: Length
    value_mean: Mean
    value_std: Deviation
    objectives: tuple[Objective, ...]
    candidate_count: Candidates
    index: IndexInfo
    metrics: Mapping[str, float]
    recipe: Mapping[str, Any]
    files: Mapping[str, FileDigest]
    context: tuple[ContextColumn, ...] = ()
    forced: str = ""
    warnings: tuple[str, ...] = ()
    liked_events: tuple[str, ...] = ()
    seen_events: tuple[str, ...] = ()
    known_until: Annotated[int, Meta(ge=-(2**62), le=2**62)] | None = None
    known_position: Position | None = None
    forgotten_position: Position | None = None
    new_items_refusal: str = _BEFORE_NEW_ITEMS

    @property
    def forgets_until(self) -> int:
        """The position up to which forgotten users are not in the bundle; 0 when nothing says so."""
        return max(self.known_position or 0, self.forgotten_position or 0)

    @property
    def objective_names(self) -> tuple[str, ...]:
        """The objectives by name, as answers list them."""
        return tuple(objective.name for objective in self.objectives)

    @classmethod
    def read(cls, directory: Path) -> Self:
        """The manifest of a bundle directory. Fields that this release does not know are ignored at any depth.

        Raises:
            BundleError: it is missing, not JSON, or of another format version. It has a field of a wrong type or out of
                range, or names a file outside the bundle.
        """
        path = directory / MANIFEST
        raw = read_json(path)
        version = raw.get("format_version") if isinstance(raw, dict) else None
        if version not in _READABLE:
            found = str(version)[:20] if isinstance(version, int | str) else None
            raise BundleError(path, f"format version {found}; this release reads {_versions()}", "format")
        try:
            manifest = converted({**raw, **{name: nan_for_null(raw[name]) for name in _FIGURES if name in raw}}, cls)
            manifest._check()
        except ValueError as error:
            raise BundleError(path, f"is not a manifest: {error}") from error
        for name in manifest.files:
            if (directory / name).is_symlink():
                raise BundleError(directory / name, "is a symbolic link, and may lead outside the bundle")
        return manifest

    def _check(self) -> None:
        _require(is_bundle_id(self.bundle_id), "bundle_id")
        _require(_is_time(self.create_time), "create_time")
        check_objectives(self.objectives)
        check_context(self.context)
        if unknown := set(self.seen_events) - set(self.event_names):
            raise ValueError(f"seen_events has {min(unknown)[:80]!r}, which is not among event_names")
        for name in self.files:
            if not _FILE_NAME.fullmatch(name) or name == MANIFEST:
                raise ValueError(f"it names {name[:80]!r}, which is not a file inside the bundle")

    def write(self, directory: Path) -> None:
        """Writes the manifest into a bundle directory that is not published yet; NaN becomes null."""
        (directory / MANIFEST).write_text(json_text(self, sort_keys=True), encoding="utf-8")

    def verify(self, directory: Path) -> None:
        """Compares size and sha256 of every file with the manifest.

        Raises:
            BundleError: names the first file that is missing, cannot be read, or differs.
        """
        for name, expected in self.files.items():
            path = directory / name
            try:
                size = path.lstat().st_size
                if size != expected.size:
                    raise BundleError(path, f"has {size} bytes, the manifest says {expected.size}", "damaged")
                found = FileDigest.of(path)
            except FileNotFoundError as error:
                raise BundleError(path, "is missing", "missing") from error
            except OSError as error:
                raise BundleError(path, f"cannot be read: {error}", "unreadable") from error
            if found != expected:
                reason = "sha256 differs from the manifest: the file was changed or damaged"
                raise BundleError(path, reason, "damaged")


def format_version(seen_events: tuple[str, ...]) -> int:
    """The oldest version whose readers serve a bundle as it was trained."""
    return FORMAT_VERSION if seen_events else _EVERY_EVENT_IS_SEEN


def _versions() -> str:
    return f"versions {' and '.join(map(str, _READABLE))}"


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).astimezone(UTC) is not None
    except (ValueError, OverflowError):
        return False


def _require(holds: bool, name: str) -> None:
    if not holds:
        raise ValueError(f"{name} is out of range")
