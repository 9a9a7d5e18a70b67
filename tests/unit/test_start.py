"""What a command does not need it does not import, as it would start later by it."""

import subprocess
import sys

import pytest

_IMPORTED = """
import sys
from memfis.commands import {command}
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


@pytest.mark.parametrize("command", ["sync", "inspect", "status", "doctor"])
def test_without_http_and_an_event_loop(command: str) -> None:
    code = _IMPORTED.format(command=command)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    imported = done.stdout.split()
    assert "memfis" in imported
    assert {"httpx", "asyncio"}.isdisjoint(imported)
