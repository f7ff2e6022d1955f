"""Sources and destinations of copies: a folder, or any URL that fsspec can open."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from shortlist.bundle.manifest import FileDigest
from shortlist.bundle.regular_files import open_regular
from shortlist.errors import ShortlistError

_CHUNK_BYTES = 2**20
_BLOCK_BYTES = 2**23


class TransferError(ShortlistError):
    """A bundle could not be copied; readers see no change."""


class NotThere(TransferError):  # noqa: N818 - the field's own word
    """There is no such file."""


class Location(Protocol):
    """A place that bundles are read from; its ``str`` is the name that the user gave."""

    def chunks(self, name: str) -> Iterator[bytes]:
        """A file in chunks of at most a mebibyte; ``/`` separates the parts of its name.

        Raises:
            NotThere: there is no such file.
            TransferError: the file cannot be read; says why.
        """

    def names(self) -> list[str]:
        """The names at the top of the place, in any order.

        Raises:
            TransferError: the place cannot be listed; says why.
        """


class Folder:
    """A directory, such as a mounted volume."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def chunks(self, name: str) -> Iterator[bytes]:
        """See :class:`Location`."""
        path = self.path / name
        try:
            with open_regular(path) as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotThere(f"{path} does not exist") from error
        except OSError as error:
            raise TransferError(f"{path} cannot be read: {error.strerror}") from error

    def names(self) -> list[str]:
        """See :class:`Location`."""
        try:
            return [path.name for path in self.path.iterdir()]
        except OSError as error:
            raise TransferError(f"{self.path} cannot be listed: {error.strerror}") from error


class Remote:
    """An fsspec URL, such as ``s3://bucket/prefix``; fsspec's libraries find the address and the credentials.

    Raises:
        TransferError: fsspec or its library for this kind of URL is not installed, or fsspec knows no such kind.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            # Not at the top: only deployments with an object store install it.
            import fsspec

            self._files, root = fsspec.url_to_fs(self.url)
        except ImportError as error:
            advice = "install it with `pip install 'shortlist[store]'`, or give a directory"
            raise TransferError(f"{url} needs fsspec and its library for such URLs ({error}); {advice}") from error
        except ValueError as error:
            raise TransferError(f"{url}: {error}") from error
        self._root = root.rstrip("/")

    def __str__(self) -> str:
        return self.url

    def chunks(self, name: str) -> Iterator[bytes]:
        """See :class:`Location`."""
        with self._explained(name), self._files.open(self._at(name), "rb", block_size=_BLOCK_BYTES) as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    def names(self) -> list[str]:
        """See :class:`Location`."""
        with self._explained(""):
            # Not from fsspec's memory: another process writes there.
            paths = self._files.ls(self._root, detail=False, refresh=True)
        return [str(path).rstrip("/").rpartition("/")[2] for path in paths]

    def upload(self, local: Path, name: str, advance: Callable[[int], None]) -> None:
        """Copies a local file to ``name``; calls ``advance`` with the bytes sent since its last call.

        Raises:
            TransferError: the file cannot be written; says why.
        """
        from fsspec.callbacks import Callback

        sent = 0

        def hook(size: int | None, value: int, **_: Any) -> None:  # noqa: ANN401 - fsspec's own
            nonlocal sent
            advance(value - sent)
            sent = value

        def put() -> None:
            self._files.put_file(str(local), self._at(name), callback=Callback(hooks={"advance": hook}))

        with self._explained(name):
            try:
                put()
            except FileNotFoundError:
                # On a file system the bundle's directory is missing. Its parent is never made: it may be a bucket.
                self._files.mkdir(self._at(name).rpartition("/")[0], create_parents=False)
                put()

    def write(self, name: str, data: bytes) -> None:
        """Replaces a small file.

        Raises:
            TransferError: the file cannot be written; says why.
        """
        with self._explained(name):
            self._files.pipe_file(self._at(name), data)

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextlib.contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise NotThere(f"{self}/{name} does not exist") from error
        # Each kind of store has its own exceptions.
        except Exception as error:
            raise TransferError(f"{self}/{name}: {error or type(error).__name__}") from error


def location(text: str) -> Folder | Remote:
    """Reads a path, a ``file:`` URL, or another URL that fsspec knows.

    Raises:
        TransferError: see :class:`Remote`.
    """
    path = text.removeprefix("file://")
    return Remote(text) if "://" in path else Folder(Path(path))


def read_small(place: Location, name: str, limit: int) -> bytes:
    """The contents of a file of at most ``limit`` bytes.

    Raises:
        NotThere: there is no such file.
        TransferError: the file cannot be read, or is larger.
    """
    data = b""
    for chunk in place.chunks(name):
        data += chunk
        if len(data) > limit:
            raise TransferError(f"{place}/{name} is larger than {limit} bytes")
    return data


def digest_of(place: Location, name: str) -> FileDigest | None:
    """The digest of a file, read to its end; None when there is no such file.

    Raises:
        TransferError: the file cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in place.chunks(name):
            digest.update(chunk)
            size += len(chunk)
    except NotThere:
        return None
    return FileDigest(sha256=digest.hexdigest(), size=size)
