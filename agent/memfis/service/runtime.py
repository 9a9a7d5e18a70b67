"""The directory of locks and sockets, which everybody finds who works on the same sites."""

import os
import tempfile
from pathlib import Path

SYSTEM_DIRECTORY = Path("/run/memfis")
"""The agent's, made by tmpfiles.d (docs/architecture/reference.md, "On a host")."""


def runtime_directory(configured: str | None) -> Path:
    """Return that directory: as configured, the system's, or the user's own."""
    if configured:
        return Path(configured)
    if os.access(SYSTEM_DIRECTORY, os.W_OK):
        return SYSTEM_DIRECTORY
    own = os.environ.get("XDG_RUNTIME_DIR")
    if own and os.access(own, os.W_OK):
        return Path(own) / "memfis"
    return Path(tempfile.gettempdir()) / f"memfis-{os.getuid()}"
