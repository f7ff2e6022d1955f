"""The manifest of a bundle: its description, and the proof that its files are the ones that were written."""

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar, get_type_hints

import msgspec
from msgspec import Meta

from shortlist.bundle.json_text import json_text
from shortlist.bundle.ranker_columns import ContextColumn, Objective, check_context, check_objectives
from shortlist.bundle.regular_files import TooLarge, open_regular, read_at_most
from shortlist.bundle.store import is_bundle_id
from shortlist.errors import BundleError

FORMAT_VERSION = 4
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 2**24
# Bundles are flat: a name with a separator can only be an attempt to reach something else.
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# The parts of the manifest with figures, which may be NaN; JSON has null for it.
_FIGURES = ("metrics", "index")
T = TypeVar("T")
# Rows are 32 bits wide. The other bounds only keep a flipped digit from claiming all memory.
Rows = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Length = Annotated[int, Meta(ge=1, le=2**20)]
# Values are standardised in 32 bits, which must neither overflow nor divide by zero.
Mean = Annotated[float, Meta(ge=-1e30, le=1e30)]
Deviation = Annotated[float, Meta(ge=1e-30, le=1e30)]
# The bounds of a recipe.
Candidates = Annotated[int, Meta(ge=1, le=100_000)]


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
class IndexTrial:
    """An index that was tried on real user vectors.

    ``spec`` is a FAISS factory string, ``parameters`` are named as in FAISS's parameter space. The time of a search is
    on one thread: of a query alone, and of one among eight in a call. ``rescored`` indexes have rounded scores; their
    time includes the computation of the exact ones.
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
    """The index, the parameters of its search, its recall, and the trials that it was chosen from.

    ``recall`` is the share of the exact ``recall_at`` nearest items that it returns, for real user vectors that its
    parameters were not chosen by. It is the fastest of the ``trials`` that reached ``target``. Services compute the
    scores again from the item vectors when it is ``rescored``. ``not_tried`` has the reason for each kind of index
    without a trial.
    """

    spec: str
    parameters: str
    recall: float
    recall_at: Candidates
    target: float
    trials: tuple[IndexTrial, ...]
    rescored: bool = False
    not_tried: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Reads ``dataclasses.asdict`` back from JSON.

        Raises:
            ValueError: names the place of a wrong type.
        """
        return _converted(raw, cls)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything a service has to know before it opens the other files.

    ``encoder_history`` and ``ranker_history`` are the numbers of latest interactions that each model reads.
    ``value_mean`` and ``value_std`` are in the unit of the interactions' values. ``objectives`` are the columns of the
    ranker's output, and ``context`` the columns that a call may give. ``forced`` says by how much the bundle was worse
    than the one it replaced, where somebody published it nevertheless. ``warnings`` are those of the training.
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
        raw = _read_raw(path)
        version = raw.get("format_version") if isinstance(raw, dict) else None
        if version != FORMAT_VERSION:
            found = str(version)[:20] if isinstance(version, int | str) else None
            raise BundleError(path, f"format version {found}; this release reads version {FORMAT_VERSION}", "format")
        try:
            manifest = _converted({**raw, **{name: _nan_for_null(raw[name]) for name in _FIGURES if name in raw}}, cls)
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


def _read_raw(path: Path) -> Any:  # noqa: ANN401
    try:
        return json.loads(read_at_most(path, MAX_MANIFEST_BYTES).decode())
    except TooLarge as error:
        raise BundleError(path, f"has more than {MAX_MANIFEST_BYTES} bytes, which no manifest has") from error
    except FileNotFoundError as error:
        raise BundleError(path, "is missing", "missing") from error
    except OSError as error:
        raise BundleError(path, f"cannot be read: {error}", "unreadable") from error
    # Lists within lists exhaust the parser's stack.
    except (ValueError, RecursionError) as error:
        raise BundleError(path, f"cannot be read: {error}") from error


def _nan_for_null(raw: Any) -> Any:  # noqa: ANN401
    if isinstance(raw, dict):
        return {name: _nan_for_null(value) for name, value in raw.items()}
    if isinstance(raw, list):
        return [_nan_for_null(value) for value in raw]
    return math.nan if raw is None else raw


def _converted(raw: Any, kind: type[T]) -> T:  # noqa: ANN401
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise ValueError(_with_key(str(error), raw, kind)) from error


def _with_key(message: str, raw: Any, kind: type[Any]) -> str:  # noqa: ANN401
    """msgspec writes ``$.files[...]`` for any entry of an object: names the first entry that is refused."""
    found = re.search(r"\$\.(\w+)\[\.\.\.\]", message)
    if found is None:
        return message
    field_type = get_type_hints(kind, include_extras=True)[found[1]]
    for key, value in raw[found[1]].items():
        try:
            msgspec.convert({key: value}, field_type)
        except msgspec.ValidationError:
            return message.replace("[...]", f"[{key[:80]!r}]", 1)
    return message


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).astimezone(UTC) is not None
    except (ValueError, OverflowError):
        return False


def _require(holds: bool, name: str) -> None:
    if not holds:
        raise ValueError(f"{name} is out of range")
