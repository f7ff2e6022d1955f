"""Servers as processes of their own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server_process import SCRIPT, Process, Run


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Starts servers, and kills those that a failed test leaves behind."""
    script, processes = tmp_path / "server.py", list[Process]()
    script.write_text(SCRIPT)

    def run(load: str = "quick", **settings: object) -> Process:
        stderr = tmp_path / f"stderr-{len(processes)}"
        given = json.dumps({"listen": "127.0.0.1:0", "drain_seconds": 30, **settings})
        command = [sys.executable, str(script), given, load]
        with stderr.open("w") as file:
            popen = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True)
        processes.append(Process(popen, stderr))
        return processes[-1]

    yield run
    for process in processes:
        process.popen.kill()
        process.popen.wait()
        process.channel.close()
        process.stdout.close()
