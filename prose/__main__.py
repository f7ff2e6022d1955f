"""``python -m prose``: checks the English of the files that ``scope.toml`` names.

``--all`` checks every tracked file, and paths as arguments check those files.
"""

import argparse
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

from prose.rules import check, read_rules

_SUFFIXES = (".md", ".py", ".proto", ".toml")


def main() -> int:
    """See the module. The exit code is 1 where something is found."""
    parser = argparse.ArgumentParser(prog="python -m prose", description="Checks the English of prose and comments.")
    parser.add_argument("paths", nargs="*", type=Path, help="files to check, whatever the scope")
    parser.add_argument("--all", action="store_true", help="check every tracked file")
    flags = parser.parse_args()
    paths = flags.paths or _tracked()
    if not flags.all and not flags.paths:
        paths = _enforced(paths)
    rules = read_rules()
    found = [finding for path in paths for finding in check(path, rules)]
    for finding in found:
        print(finding)
    return 1 if found else 0


def _enforced(paths: list[Path]) -> list[Path]:
    scope = tomllib.loads(Path(__file__).with_name("scope.toml").read_text(encoding="utf-8"))
    return [path for path in paths if any(fnmatch(str(path), pattern) for pattern in scope["enforced"])]


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True).stdout
    paths = [Path(name) for name in listed.split("\0") if name.endswith(_SUFFIXES)]
    return [path for path in paths if path.exists() and "_pb2" not in path.name]


if __name__ == "__main__":
    sys.exit(main())
