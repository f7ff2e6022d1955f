"""What a bundle says of itself, and the proof that its files are the ones that were written."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from shortlist.errors import BundleError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"


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
        """What ``dataclasses.asdict`` gave, read back."""
        return cls(**{**raw, "trials": tuple(IndexTrial(**trial) for trial in raw["trials"])})


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything a service has to know before it opens the other files.

    ``encoder_history`` and ``ranker_history`` are how many of the latest interactions each model looks at;
    ``value_mean`` and ``value_std`` are in the unit of the interactions' values; ``heads`` are the columns of the
    ranker's output, and the first of them makes the order.
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
    heads: tuple[str, ...]
    candidate_count: int
    index: IndexInfo
    metrics: Mapping[str, float]
    recipe: Mapping[str, Any]
    files: Mapping[str, FileDigest]

    @classmethod
    def read(cls, directory: Path) -> Self:
        """The manifest of a bundle directory.

        Raises:
            BundleError: it is missing, not JSON, of another format version, or names a file outside the bundle.
        """
        path = directory / MANIFEST
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BundleError(path, f"cannot be read: {error}") from error
        if not isinstance(raw, dict) or raw.get("format_version") != FORMAT_VERSION:
            found = raw.get("format_version") if isinstance(raw, dict) else None
            raise BundleError(path, f"format version {found}; this release reads version {FORMAT_VERSION}")
        try:
            manifest = cls._from_json(raw)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise BundleError(path, f"is not a manifest: {error}") from error
        for name in manifest.files:
            _refuse_outside(path, name)
        return manifest

    @classmethod
    def _from_json(cls, raw: dict[str, Any]) -> Self:
        lists = {field: tuple(raw[field]) for field in ("item_features", "user_features", "event_names", "heads")}
        files = {name: FileDigest(**digest) for name, digest in raw["files"].items()}
        return cls(**{**raw, **lists, "index": IndexInfo.from_json(raw["index"]), "files": files})

    def write(self, directory: Path) -> None:
        """Writes the manifest into a bundle directory that is not published yet."""
        text = json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True)
        (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")

    def verify(self, directory: Path) -> None:
        """Compares size and sha256 of every file with the manifest.

        Raises:
            BundleError: names the first file that is missing or differs.
        """
        for name, expected in self.files.items():
            path = directory / name
            if not path.is_file():
                raise BundleError(path, "is missing")
            size = path.stat().st_size
            if size != expected.size:
                raise BundleError(path, f"has {size} bytes, the manifest says {expected.size}")
            if FileDigest.of(path) != expected:
                raise BundleError(path, "sha256 differs from the manifest: the file was changed or damaged")


def _refuse_outside(manifest: Path, name: str) -> None:
    # Bundles are flat, so a name with a separator can only be an attempt to read something else.
    if name in {"", ".", ".."} or "/" in name or "\\" in name or "\0" in name:
        raise BundleError(manifest, f"names {name!r}, which is not a file inside the bundle")
    if (manifest.parent / name).is_symlink():
        raise BundleError(manifest.parent / name, "is a symbolic link, and may lead outside the bundle")
