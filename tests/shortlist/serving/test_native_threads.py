"""A request uses one thread of the native libraries, as no image or flag has to ask for."""

import os
import subprocess
import sys

import pytest

_PROGRAM = """
import {module}.__main__, {module}.service, numpy
from threadpoolctl import threadpool_info
print(sorted({{one["num_threads"] for one in threadpool_info()}}))
"""


def _threads(module: str, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", _PROGRAM.format(module=module)]
    return subprocess.run(
        command, env=inherited | environment, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize("module", ["retrieval_service", "ranking_service"])
def test_native_libraries_have_one_thread(module: str) -> None:
    """Proves it for all of them that a service imports, whatever the number of cores."""
    assert _threads(module) == "[1]"


def test_a_number_that_somebody_sets_counts() -> None:
    """Proves that the environment has the last word."""
    assert _threads("retrieval_service", OMP_NUM_THREADS="2") == "[2]"
