"""``python -m deploy.check.sbom``: writes the bill of materials of each image, ``build/sbom/IMAGE.json``.

The form is CycloneDX. It lists the Python packages; the packages of the base image are those of its own publisher.
"""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deploy.check import tools
from deploy.check.kustomize import DEPLOY, ROOT
from deploy.check.locks import LOCKS

FOLDER = ROOT / "build" / "sbom"
# Each image's lock.
IMAGES: Mapping[str, str] = {"retrieval": "serving", "ranking": "serving", "live": "serving", "trainer": "trainer"}


def write() -> list[Path]:
    """Writes the bills of all images; returns their paths.

    Raises:
        ToolFailed: cyclonedx-py is missing.
        CalledProcessError: it failed.
    """
    program = tools.PACKAGE_TOOLS / "cyclonedx-py"
    if not program.is_file():
        raise tools.ToolFailed("cyclonedx-py is missing; make sbom installs it")
    FOLDER.mkdir(parents=True, exist_ok=True)
    how = ["--of", "JSON", "--output-reproducible", "--no-validate", "--pyproject", str(ROOT / "pyproject.toml"), "-"]
    for image, lock in IMAGES.items():
        command = [str(program), "requirements", *how, "-o", str(_path(image))]
        subprocess.run(command, input=_packages(lock), check=True, capture_output=True, text=True)
    return [_path(image) for image in IMAGES]


def pytorch() -> str:
    """PyTorch as the trainer's image pins it, such as ``torch==2.13.0``."""
    (pinned,) = re.findall(r"'(torch==[^']+)'", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
    return str(pinned)


def _packages(lock: str) -> str:
    text = (LOCKS / f"{lock}.txt").read_text(encoding="utf-8")
    return f"{text}{pytorch()}\n" if lock == "trainer" else text


def _path(image: str) -> Path:
    return FOLDER / f"{image}.json"


if __name__ == "__main__":
    for path in write():
        print(path.relative_to(ROOT))
