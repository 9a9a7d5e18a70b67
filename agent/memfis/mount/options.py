"""How a site is to be mounted."""

from dataclasses import dataclass

BATCH = 1.0
"""Seconds that changes of a directory are collected where the store is a gateway: in Couchbase an
append to its records writes and replicates all of them."""

ATTRIBUTE_TIMEOUT = 1.0
"""Seconds after which what another host changed is seen at the latest."""


@dataclass(frozen=True)
class Options:
    """What the command line, or /etc/fstab, says of a mount."""

    mountpoint: str
    """Absolute path of a directory."""
    read_only: bool = False
    allow_other: bool | None = None
    """Whether other users may use it; None: if this user may allow that."""
    attribute_timeout: float = ATTRIBUTE_TIMEOUT
    batch: float | None = None
    """Seconds that what is closed waits for more in its directory; None: by the kind of store."""
    owner: int | None = None
    """User id of who owns the top directory of a site that the mount makes; None: this user."""
    group: int | None = None
    """Its group id; None: this user's."""
    permissions: int = 0o755
    """Its permission bits."""
    flags: tuple[str, ...] = ()
    """More mount options, of those that the kernel has for all (`noexec`, `noatime` …)."""
