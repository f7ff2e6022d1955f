"""``python -m deploy.check.images [OVERLAY]``: refuses manifests with an image that is not named by its digest.

OVERLAY is a directory with a ``kustomization.yaml``, by default ``deploy/overlays/prod``. Run it before you apply a
release: a tag may be moved to other contents, a digest may not.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deploy.check.kustomize import DEPLOY, KustomizeFailed, Manifest, build

_BY_DIGEST = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")


def images(manifests: Sequence[Manifest]) -> list[str]:
    """The images of all containers, sorted, each once."""
    return sorted({image for manifest in manifests for image in _images(manifest)})


def without_digest(manifests: Sequence[Manifest]) -> list[str]:
    """The images that a tag names, or nothing but their name."""
    return [image for image in images(manifests) if not _BY_DIGEST.fullmatch(image)]


def main(arguments: Sequence[str]) -> int:
    """Prints the images that lack a digest; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.check.images", description=__doc__)
    prod = DEPLOY / "overlays" / "prod"
    parser.add_argument("overlay", nargs="?", type=Path, default=prod, help="directory with a kustomization.yaml")
    overlay = parser.parse_args(arguments).overlay
    try:
        lacking = without_digest(build(overlay))
    except KustomizeFailed as error:
        print(error, file=sys.stderr)
        return 1
    for image in lacking:
        print(f"{image} has no digest: kustomize edit set image {image.split(':')[0]}=REPOSITORY@sha256:…")
    return 1 if lacking else 0


def _images(node: Any) -> Iterator[str]:  # noqa: ANN401 - a part of a manifest
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "image" and isinstance(value, str):
                yield value
            else:
                yield from _images(value)
    elif isinstance(node, list):
        for one in node:
            yield from _images(one)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
