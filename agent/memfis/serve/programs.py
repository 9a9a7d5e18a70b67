"""Private nginx and memcached: found, started, waited for, stopped."""

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from memfis.errors import ProgramError

START = 10.0
"""Seconds a program may take to be ready. nginx tries a taken port for 2.5 s before it gives up."""

STOP = 10.0
"""Seconds a program may take to stop before it is killed."""

_SBIN = "/usr/sbin:/sbin:/usr/local/sbin"
_PR_SET_PDEATHSIG = 1

PACKAGES = {"nginx": "nginx-full", "memcached": "memcached"}


def find(name: str) -> str:
    """Return the path of the program `name`; raises ProgramError where it is not installed.

    The administrator's directories are searched too: they are in no ordinary user's PATH.
    """
    found = shutil.which(name) or shutil.which(name, path=_SBIN)
    if not found:
        raise ProgramError(f"{name} is not installed: try 'apt install {PACKAGES[name]}'")
    return found


class Program:
    """A child that runs in the foreground and ends with us, however we end."""

    def __init__(
        self, name: str, process: "subprocess.Popen[bytes]", output: Path, hint: str
    ) -> None:
        """Look after the `process` of the program `name`, which writes to the file `output`.

        `hint` is added to the message when it does not get ready.
        """
        self.name = name
        self._process = process
        self._output = output
        self._hint = hint

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        directory: Path,
        hint: str,
        user: str | None = None,
    ) -> Self:
        """Start `command`, as `user` when given; what it writes goes to a file in `directory`."""
        path = directory / f"{name}.log"
        libc = ctypes.CDLL(None)
        with path.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=[] if user else None,
                start_new_session=True,  # Ctrl-C is for us; we stop our programs in order
                preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM),
            )
        return cls(name, process, path, hint)

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return self._process.poll() is not None

    def said(self) -> str:
        """Return the last thing it wrote, as one line."""
        lines = self._output.read_text(encoding="utf-8", errors="replace").splitlines()
        told = [line.strip() for line in lines if line.strip() and "still could not" not in line]
        return told[-1] if told else f"nothing (exit code {self._process.returncode})"

    def failure(self) -> ProgramError:
        """Return what to raise when it ended, or did not get ready."""
        what = "ended" if self.ended else "did not get ready"
        return ProgramError(f"{self.name} {what}{self._hint}: it said: {self.said()}")

    def wait_for(self, path: Path) -> None:
        """Wait until `path` exists, and answers where it is a socket; raises ProgramError."""
        deadline = time.monotonic() + START
        while not self.ended and time.monotonic() < deadline:
            if path.is_socket():
                with socket.socket(socket.AF_UNIX) as probe:
                    if probe.connect_ex(str(path)) == 0:
                        return
            elif path.exists() and path.stat().st_size:
                return
            time.sleep(0.01)
        raise self.failure()

    def stop(self) -> None:
        """Ask it to stop, and kill it when it does not."""
        if self.ended:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def start_memcached(
    socket_path: Path, mebibytes: int, user: str | None, directory: Path
) -> Program:
    """Start a memcached that listens on `socket_path` alone; raises ProgramError.

    What it says is kept in `directory`.
    """
    command = [find("memcached"), "-s", str(socket_path), "-a", "0600", "-U", "0"]
    command += ["-m", str(mebibytes), "-I", "20m", "-c", "2048"]
    program = Program.start("memcached", command, directory, f" on {socket_path}", user)
    try:
        program.wait_for(socket_path)
    except BaseException:
        program.stop()
        raise
    return program


def start_nginx(configuration: Path, pid_file: Path, listen: str) -> Program:
    """Start nginx with `configuration`; `listen` is for the message. Raises ProgramError."""
    command = [find("nginx"), "-c", str(configuration), "-p", str(configuration.parent)]
    program = Program.start(
        "nginx", [*command, "-e", "stderr"], configuration.parent, f" on {listen}"
    )
    try:
        program.wait_for(pid_file)
    except BaseException:
        program.stop()
        raise
    return program
