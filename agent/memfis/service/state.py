"""Files of what is to outlive a daemon: small, JSON, for its user alone."""

import logging
import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

log = logging.getLogger("memfis")


def read(path: Path, kind: type[T]) -> T | None:
    """Return what `write` put there; None: nothing, or what cannot be read, which is logged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("%s: %s; what it held is lost", path, error)
        return None


def write(path: Path, value: Any) -> None:
    """Let `path` hold `value` in place of what is there; where it is empty, there is no file.

    What cannot be written is logged.
    """
    new = path.with_suffix(".new")
    try:
        if not value:
            path.unlink(missing_ok=True)
            return
        with open(new, "wb", opener=_private) as file:
            file.write(msgspec.json.encode(value))
        new.replace(path)
    except OSError as error:
        log.warning("%s: %s; what waits is lost when the agent ends", path, error.strerror)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
