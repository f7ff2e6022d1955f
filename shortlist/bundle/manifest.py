"""What a bundle says of itself, and the proof that its files are the ones that were written."""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from shortlist.bundle.json_reader import read_json
from shortlist.bundle.ranker_columns import ContextColumn, Objective, check_context, check_objectives
from shortlist.bundle.store import is_bundle_id
from shortlist.errors import BundleError

FORMAT_VERSION = 4
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 2**24
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Bundles are flat: a name with a separator can only be an attempt to reach something else.
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# Rows are 32 bits wide. The others only have to keep a flipped digit from asking for all memory.
_MAX_ROWS = 2**31 - 1
_MAX_LENGTH = 2**20
_MAX_FILE_BYTES = 2**50


@dataclass(frozen=True, kw_only=True)
class FileDigest:
    """What a file of the bundle has to be.

    Neither FAISS nor ONNX Runtime notices a flipped bit, so the digest is checked before anything is loaded.
    """

    sha256: str
    size: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """The digest of a file as it is now."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(sha256=digest, size=path.stat().st_size)


@dataclass(frozen=True, kw_only=True)
class IndexTrial:
    """An index that was tried on real user vectors.

    ``spec`` is a FAISS factory string, ``parameters`` are named as in FAISS's parameter space. The time of a search is
    on one thread: of a query alone, and of one among eight in a call. It includes the exact scores of an index whose
    own are rounded, which is ``rescored``.
    """

    spec: str
    parameters: str
    recall: float
    search_us: float
    search_us_batch: float
    bytes_per_vector: float
    build_seconds: float
    rescored: bool = False
    chosen: bool = False


@dataclass(frozen=True, kw_only=True)
class IndexInfo:
    """The index, how it is to be searched, what it finds, and what it was chosen from.

    ``recall`` is the share of the exact ``recall_at`` nearest items that it returns for real user vectors, others than
    those that its parameters were chosen by. It is the fastest of the ``trials`` that reached ``target``. Services
    compute the scores again from the item vectors when it is ``rescored``. ``not_tried`` has a reason for each kind
    of index that no trial was worth.
    """

    spec: str
    parameters: str
    recall: float
    recall_at: int
    target: float
    trials: tuple[IndexTrial, ...]
    rescored: bool = False
    not_tried: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """What ``dataclasses.asdict`` gave, read back.

        Raises:
            ValueError: it is something else.
        """
        index: Self = read_json(cls, raw, "index")
        return index


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything a service has to know before it opens the other files.

    ``encoder_history`` and ``ranker_history`` are how many of the latest interactions each model looks at;
    ``value_mean`` and ``value_std`` are in the unit of the interactions' values; ``objectives`` are the columns of the
    ranker's output, and ``context`` is what a call may say of itself. ``forced`` is empty, or by what the bundle was
    worse than the one it replaced, where somebody published it all the same.
    """

    format_version: int
    bundle_id: str
    create_time: str
    libraries: Mapping[str, str]
    dimension: int
    metric: str
    item_count: int
    user_count: int
    item_features: tuple[str, ...]
    user_features: tuple[str, ...]
    event_names: tuple[str, ...]
    encoder_history: int
    ranker_history: int
    value_mean: float
    value_std: float
    objectives: tuple[Objective, ...]
    candidate_count: int
    index: IndexInfo
    metrics: Mapping[str, float]
    recipe: Mapping[str, Any]
    files: Mapping[str, FileDigest]
    context: tuple[ContextColumn, ...] = ()
    forced: str = ""

    @property
    def objective_names(self) -> tuple[str, ...]:
        """The objectives by name, as answers list them."""
        return tuple(objective.name for objective in self.objectives)

    @classmethod
    def read(cls, directory: Path) -> Self:
        """The manifest of a bundle directory.

        Raises:
            BundleError: it is missing, not JSON, of another format version, has a field of a wrong type or out of
                range, or names a file outside the bundle.
        """
        path = directory / MANIFEST
        raw = _read_raw(path)
        version = raw.get("format_version") if isinstance(raw, dict) else None
        if version != FORMAT_VERSION:
            found = str(version)[:20] if isinstance(version, int | str) else None
            raise BundleError(path, f"format version {found}; this release reads version {FORMAT_VERSION}", "format")
        try:
            manifest: Self = read_json(cls, raw, "it")
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
        for name, low, high in (
            ("dimension", 1, _MAX_LENGTH),
            ("item_count", 1, _MAX_ROWS),
            ("user_count", 0, _MAX_ROWS),
            ("encoder_history", 0, _MAX_LENGTH),
            ("ranker_history", 0, _MAX_LENGTH),
            ("candidate_count", 0, _MAX_ROWS),
        ):
            _require(low <= getattr(self, name) <= high, name)
        _require(math.isfinite(self.value_mean), "value_mean")
        _require(0 < self.value_std < math.inf, "value_std")
        check_objectives(self.objectives)
        check_context(self.context)
        for name, digest in self.files.items():
            if not _FILE_NAME.fullmatch(name) or name == MANIFEST:
                raise ValueError(f"it names {name[:80]!r}, which is not a file inside the bundle")
            _require(_SHA256.fullmatch(digest.sha256) is not None, f"sha256 of {name}")
            _require(0 <= digest.size <= _MAX_FILE_BYTES, f"size of {name}")

    def write(self, directory: Path) -> None:
        """Writes the manifest into a bundle directory that is not published yet."""
        text = json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True)
        (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")

    def verify(self, directory: Path) -> None:
        """Compares size and sha256 of every file with the manifest.

        Raises:
            BundleError: names the first file that is missing, cannot be read, or differs.
        """
        for name, expected in self.files.items():
            path = directory / name
            if not path.is_file():
                raise BundleError(path, "is missing", "missing")
            try:
                size = path.stat().st_size
                if size != expected.size:
                    raise BundleError(path, f"has {size} bytes, the manifest says {expected.size}", "damaged")
                found = FileDigest.of(path)
            except OSError as error:
                raise BundleError(path, f"cannot be read: {error}", "unreadable") from error
            if found != expected:
                reason = "sha256 differs from the manifest: the file was changed or damaged"
                raise BundleError(path, reason, "damaged")


def _read_raw(path: Path) -> Any:  # noqa: ANN401
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise BundleError(path, f"has more than {MAX_MANIFEST_BYTES} bytes, which no manifest has")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(path, "is missing", "missing") from error
    except OSError as error:
        raise BundleError(path, f"cannot be read: {error}", "unreadable") from error
    # Lists within lists exhaust the parser's stack.
    except (ValueError, RecursionError) as error:
        raise BundleError(path, f"cannot be read: {error}") from error


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).astimezone(UTC) is not None
    except (ValueError, OverflowError):
        return False


def _require(holds: bool, name: str) -> None:
    if not holds:
        raise ValueError(f"{name} is out of range")
