"""A process that goes on in the background once it is ready."""

import json
import os
import signal
import sys
from collections.abc import Callable

from memfis.errors import MemfisError


class _StartError(MemfisError):
    """What the process in the background could not do before it was ready."""

    def __init__(self, code: int, line: str) -> None:
        self.exit_code = code
        super().__init__(line)


def in_background(work: Callable[[Callable[[], None]], int], keep_errors: bool) -> None:
    """Run `work` in a process of its own, and return when that calls what `work` is given.

    `keep_errors`: stderr stays what it is, where it is the journal's. Raises MemfisError, with the
    line and the exit code of the error that ended `work` before it was ready.
    """
    read, write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process == 0:
        os.close(read)
        os._exit(_go_on(work, write, keep_errors))
    os.close(write)
    try:
        with os.fdopen(read, "rb") as pipe:
            said = pipe.read()
    except KeyboardInterrupt:
        os.kill(process, signal.SIGTERM)  # it is in a session of its own
        raise
    if not said:
        raise _StartError(2, "the process that was to answer in the background was ended")
    code, line = json.loads(said)
    if code is not None:
        raise _StartError(code, line)


def _go_on(work: Callable[[Callable[[], None]], int], write: int, keep_errors: bool) -> int:
    """Be the process in the background; return its exit code."""
    said = False

    def say(code: int | None, line: str) -> None:
        nonlocal said
        if not said:
            os.write(write, json.dumps([code, line]).encode())
            os.close(write)
        said = True

    def ready() -> None:
        _detach(keep_errors)
        say(None, "")

    try:
        os.setsid()
        return work(ready)
    except MemfisError as error:
        say(error.exit_code, str(error))
        return error.exit_code
    except Exception as error:  # whoever waits must hear of it
        say(2, f"{type(error).__name__}: {error}")
        return 2


def _detach(keep_errors: bool) -> None:
    """Let go of the directory and the terminal that the command was called from."""
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1) if keep_errors else (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)
