"""A terminal that is watched for keys and a new size while something is shown in it."""

import os
import select
import signal
import socket
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STDIN = 0

TOLD = (signal.SIGWINCH, signal.SIGTSTP, signal.SIGTERM, signal.SIGHUP)
"""Signals that are events here; Ctrl-C is a KeyboardInterrupt as everywhere."""


class Events:
    """What happens meanwhile: keys, signals, and what another thread tells."""

    def __init__(self) -> None:
        self._reading, self._writing = socket.socketpair()
        self._reading.setblocking(False)
        self._writing.setblocking(False)

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Let signals of TOLD be events."""
        before = {each: signal.signal(each, _heard) for each in TOLD}
        descriptor = signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(descriptor)
            for number, handler in before.items():
                signal.signal(number, handler)

    def tell(self) -> None:
        """Wake up who waits, from any thread."""
        self._writing.send(b"\0")

    def wait(self, keys: int | None) -> tuple[str, list[signal.Signals]]:
        """Wait, and return what was typed at the descriptor `keys`, and which signals came.

        Typed is Ctrl-D where the terminal is gone.
        """
        sources = [self._reading.fileno(), *([] if keys is None else [keys])]
        ready, _, _ = select.select(sources, [], [])
        typed, numbers = "", b""
        if keys in ready and keys is not None:
            typed = os.read(keys, 100).decode("utf-8", "replace") or "\x04"
        if self._reading.fileno() in ready:
            numbers = self._reading.recv(1000)
        return typed, [signal.Signals(each) for each in numbers if each]


def _heard(number: int, frame: Any) -> None:
    """Do nothing: the number is written to the socket that `wait` reads."""


@contextmanager
def keyboard() -> Iterator[int | None]:
    """Yield the descriptor at which each key can be read at once, unseen; None: no terminal."""
    if not os.isatty(STDIN):  # it may be closed, too
        yield None
        return
    before = termios.tcgetattr(STDIN)
    tty.setcbreak(STDIN)
    try:
        yield STDIN
    finally:
        termios.tcsetattr(STDIN, termios.TCSADRAIN, before)
