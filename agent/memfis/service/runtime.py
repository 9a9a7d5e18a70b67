"""The directory of locks and sockets, which everybody finds who works on the same sites."""

import os
import tempfile
from pathlib import Path

from memfis.errors import UntrustedError
from memfis.service.trust import name_of

SYSTEM_DIRECTORY = Path("/run/memfis")
"""The agent's, made by tmpfiles.d (docs/architecture/reference.md, "On a host")."""


def runtime_directory(configured: str | None) -> Path:
    """Return that directory: as configured, the system's, or the user's own.

    Whether it can be trusted is looked at by who uses it (`own_directory`). Raises UntrustedError
    where XDG_RUNTIME_DIR is somebody else's, as `su` leaves it ("It MUST be owned by the user", XDG
    Base Directory Specification).
    """
    if configured:
        return Path(configured)
    if os.access(SYSTEM_DIRECTORY, os.W_OK):
        return SYSTEM_DIRECTORY
    own = os.environ.get("XDG_RUNTIME_DIR")
    if own and os.access(own, os.W_OK):
        owner = os.stat(own).st_uid
        if owner != os.geteuid():
            raise UntrustedError(
                f"XDG_RUNTIME_DIR={own}: belongs to user {name_of(owner)}: unset it, or set"
                " 'runtime_directory' to a directory of your own"
            )
        return Path(own) / "memfis"
    return Path(tempfile.gettempdir()) / f"memfis-{os.getuid()}"


def state_directory(runtime: Path) -> Path:
    """Return where is kept what outlives the host's next start: systemd's StateDirectory=.

    Without that it is `runtime`.
    """
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(given) if given else runtime
