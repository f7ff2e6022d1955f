"""``python -m prose``: checks the English of the files that ``scope.toml`` names.

``--all`` checks every tracked file by every rule, and so do paths as arguments.
"""

import argparse
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from prose.rules import Finding, check, read_rules

_SUFFIXES = (".md", ".py", ".proto", ".toml")


def main() -> int:
    """See the module. The exit code is 1 where something is found."""
    parser = argparse.ArgumentParser(prog="python -m prose", description="Checks the English of prose and comments.")
    parser.add_argument("paths", nargs="*", type=Path, help="files to check by every rule")
    parser.add_argument("--all", action="store_true", help="check every tracked file by every rule")
    flags = parser.parse_args()
    paths = flags.paths or _tracked()
    found = list(_findings(paths) if flags.all or flags.paths else _enforced(paths))
    for finding in found:
        print(finding)
    return 1 if found else 0


def _findings(paths: list[Path]) -> Iterator[Finding]:
    rules = read_rules()
    for path in paths:
        yield from check(path, rules)


def _enforced(paths: list[Path]) -> Iterator[Finding]:
    scope = tomllib.loads(Path(__file__).with_name("scope.toml").read_text(encoding="utf-8"))
    for finding in _findings(paths):
        if any(fnmatch(str(finding.path), pattern) for pattern in scope[finding.rule]):
            yield finding


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True).stdout
    paths = [Path(name) for name in listed.split("\0") if name.endswith(_SUFFIXES)]
    return [path for path in paths if path.exists() and "_pb2" not in path.name]


if __name__ == "__main__":
    sys.exit(main())
