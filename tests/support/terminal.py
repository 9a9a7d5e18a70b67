"""A program in a terminal of its own: what it shows, its size, and what is typed there."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from support.process import PATIENCE, wait_for

CONTROL = re.compile(rb"\x1b(?:\[[0-9;?]*[A-Za-z]|[()][A-Z0-9])")
"""Sequences that colour and place text (ECMA-48)."""

ALTERNATE, MAIN = b"\x1b[?1049h", b"\x1b[?1049l"
"""What a program says to fill the screen, and to give it back as it was (xterm's ctlseqs)."""


class Terminal:
    """A program that runs in a pseudo terminal."""

    def __init__(
        self,
        command: Sequence[str | Path],
        env: Mapping[str, str],
        *,
        rows: int = 24,
        columns: int = 120,
    ) -> None:
        self._ours, self._theirs = pty.openpty()
        self._resize(rows, columns)
        self.modes = termios.tcgetattr(self._theirs)
        self.written = b""
        self._program = subprocess.Popen(
            [os.fspath(word) for word in command],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env=dict(env) | {"TERM": "xterm-256color"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0) and None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.kill()
        self._program.wait()
        os.close(self._theirs)
        os.close(self._ours)

    def _resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows: int, columns: int) -> None:
        """Change the size; the kernel tells the program so (SIGWINCH)."""
        self._resize(rows, columns)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        self._program.send_signal(number)

    def _read(self) -> None:
        while select.select([self._ours], [], [], 0)[0]:
            self.written += os.read(self._ours, 65536)

    def screen(self) -> list[str]:
        """Return the lines that were drawn last, as far as they are there."""
        self._read()
        drawn = self.written.rpartition(b"\x1b[H")[2]
        return [
            line.rstrip()
            for line in CONTROL.sub(b"", drawn).decode("utf-8", "replace").splitlines()
        ]

    def shows(self, *words: str) -> list[str]:
        """Wait until one line has all `words`, and return the whole screen."""
        seen: list[str] = []

        def there() -> bool:
            seen[:] = self.screen()
            return any(all(word in line for word in words) for line in seen)

        wait_for(there, f"{words} on the screen")
        return seen

    def stopped(self) -> bool:
        """Whether the program is suspended."""
        state = Path(f"/proc/{self._program.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "T"

    def ended(self) -> int:
        """Wait for its end, read on meanwhile, and return its exit code."""

        def gone() -> bool:
            self._read()  # a program that may not write on does not end
            return self._program.poll() is not None

        wait_for(gone, "the program's end")
        return self._program.wait(PATIENCE)

    @property
    def is_as_before(self) -> bool:
        """Whether keys are read as at first, the screen is given back and the cursor seen."""
        self._read()
        given_back = self.written.rfind(MAIN) > self.written.rfind(ALTERNATE)
        seen = self.written.rfind(b"\x1b[?25h") > self.written.rfind(b"\x1b[?25l")
        return termios.tcgetattr(self._theirs) == self.modes and given_back and seen
