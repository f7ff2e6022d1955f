"""A virtual environment for each peer, made unless one with the present requirements exists."""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.harness.planted import BUILD

FOLDER = BUILD / "peers"
_HERE = Path(__file__).parent
# Triton's Python backend is linked with the system's libpython, so that its models need the same version.
_SYSTEM_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A virtual environment under ``build``."""

    folder: Path

    @property
    def python(self) -> str:
        """The path of its interpreter."""
        return str((self.folder / "bin" / "python").absolute())

    @property
    def packages(self) -> Path:
        """The folder of its packages."""
        return next((self.folder / "lib").absolute().glob("python3.*")) / "site-packages"

    def version_of(self, package: str) -> str:
        """The installed version of a package."""
        code = f"from importlib.metadata import version; print(version({package!r}))"
        return subprocess.run([self.python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def ray_environment() -> Environment:
    """Ray Serve's environment."""
    return _made("ray-venv", sys.executable, [["-r", "requirements-ray.txt"]])


def triton_environment() -> Environment:
    """Triton's environment, without its Python client: the server is a binary."""
    environment = _made(
        "triton-venv",
        _SYSTEM_PYTHON,
        [["--no-deps", "-r", "requirements-triton.txt"], ["-r", "requirements-triton-models.txt"]],
    )
    server = environment.packages / "pytriton" / "tritonserver"
    version = environment.packages.parent.name.removeprefix("python")
    stub = server / "backends" / "python" / "triton_python_backend_stub"
    if not stub.exists():
        stub.symlink_to(server / "python_backend_stubs" / version / stub.name)
    return environment


def _made(name: str, python: str, installs: list[list[str]]) -> Environment:
    environment = Environment(folder=FOLDER / name)
    wanted = hashlib.sha256(b"".join((_HERE / install[-1]).read_bytes() for install in installs)).hexdigest()
    ready = environment.folder / ".ready"
    if ready.exists() and ready.read_text() == wanted:
        return environment
    print(f"making {environment.folder}", file=sys.stderr)
    shutil.rmtree(environment.folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", environment.folder], check=True)
    for install in installs:
        subprocess.run([environment.python, "-m", "pip", "install", "-qq", *install], check=True, cwd=_HERE)
    ready.write_text(wanted)
    return environment
