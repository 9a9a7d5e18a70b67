"""Programs that run from a mount."""

import errno
import os
import shutil
import subprocess

import pytest

from support.mount import Mount


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC])
def test_a_program_that_runs_cannot_be_changed(mount: Mount, flags: int) -> None:
    source = shutil.which("sleep")
    assert source
    program = mount.path / "program"
    shutil.copy(source, program)
    with subprocess.Popen([program, "60"]) as running:
        with pytest.raises(OSError, check=lambda error: error.errno == errno.ETXTBSY):
            os.open(program, flags)
        assert running.poll() is None
        running.kill()
    assert program.stat().st_size == os.stat(source).st_size
    with open(source, "rb") as file:
        assert program.read_bytes() == file.read()
