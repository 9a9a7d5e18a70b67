"""A program in the foreground: started, waited for, and certainly gone afterwards."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

PATIENCE = float(os.environ.get("MEMFIS_PATIENCE", "20"))
"""Seconds until a program that gives no sign of life is given up: a limit, not a measure."""


def unprivileged() -> pwd.struct_passwd | None:
    """Return the user that servers started by root run as; None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("www-data", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise AssertionError("neither www-data nor nobody exists")


def wait_for(ready: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Return when `ready` says so; fail when it has not in `patience` seconds."""
    end = time.monotonic() + patience
    while not ready():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.01)


def listening(path: Path) -> bool:
    """Return whether a program accepts connections at the unix socket `path`."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
    return True


class Process:
    """A child process in a process group of its own, its output in a file."""

    def __init__(
        self, command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.command = [os.fspath(word) for word in command]
        self.log = log
        self._env = env
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, ready: Callable[[], bool]) -> None:
        """Start the program and wait until `ready`; show what it said when it ends instead."""
        with self.log.open("ab") as log:
            self._child = child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self._env,
            )
        wait_for(lambda: child.poll() is not None or ready(), " ".join(self.command))
        if child.poll() is not None:
            self._child = None
            raise AssertionError(f"{self.command[0]} ended: {self.log.read_text()}")

    @property
    def pid(self) -> int:
        """The program's process."""
        assert self._child is not None
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the program was started and has neither been ended nor ended by itself."""
        return self._child is not None and self._child.poll() is None

    def kill_alone(self) -> int:
        """Kill the program, as the kernel does when memory runs out.

        What it started lives on, in the process group that is returned.
        """
        assert self._child is not None
        group = self._child.pid
        self._child.kill()
        self._child.wait()
        self._child = None
        return group

    def signal(self, number: Signals) -> None:
        """Send a signal to the program and all its children."""
        assert self._child is not None
        os.killpg(self._child.pid, number)

    def end(self, number: Signals = SIGTERM) -> None:
        """End the program by a signal to its first process, and wait for it."""
        if self._child is None:
            return
        if number == SIGKILL:
            self.signal(number)
        else:
            self._child.send_signal(number)
        try:
            self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.signal(SIGKILL)
            self._child.wait()
            raise
        finally:
            self._child = None


class Daemon:
    """A program that goes into the background by itself, and names its process in a file."""

    def __init__(self, command: Sequence[str | Path], pid_file: Path) -> None:
        # By its whole path: nginx does not look for its program when it is upgraded.
        program = shutil.which(command[0])
        assert program, command[0]
        self.command = [program, *(os.fspath(word) for word in command[1:])]
        self._pid_file = pid_file

    def start(self, ready: Callable[[], bool]) -> None:
        """Start it and wait until it is `ready`."""
        subprocess.run(self.command, check=True)
        wait_for(ready, self.command[0])

    @property
    def pid(self) -> int:
        """Its first process."""
        return int(self._pid_file.read_text())

    def signal(self, number: Signals) -> None:
        """Send a signal to its first process."""
        os.kill(self.pid, number)

    def end(self, number: Signals = SIGTERM) -> None:
        """End it by a signal, unless it has ended, and wait for it."""
        if self._pid_file.exists():
            self.signal(number)
            wait_for(lambda: not self._pid_file.exists(), "the daemon to end")
