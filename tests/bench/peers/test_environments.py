"""The peers' own environments have all that their models import."""

import subprocess
import sys

import pytest

_CODE = {
    "ray": ("requirements-ray.txt", "ray", "bench.peers.ray_app", "bench.peers.ray_server"),
    "triton": ("requirements-triton-models.txt", "triton_python_backend_utils", "bench.peers.triton_models"),
}


@pytest.mark.parametrize("peer", _CODE)
def test_a_peers_requirements_list_what_its_models_import(peer: str) -> None:
    """Proves it with an interpreter that finds no other distribution, such as those of our client."""
    requirements, *arguments = _CODE[peer]
    command = [sys.executable, "-m", "tests.support.limited_imports", f"bench/peers/{requirements}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
