"""What the kernel allows of inotify."""

import os
from pathlib import Path
from typing import NamedTuple

SYSCTLS = Path("/proc/sys")


class Limit(NamedTuple):
    """A sysctl and its value."""

    name: str
    value: int


class WatchLimits(NamedTuple):
    """How much of inotify one user may have (inotify(7), namespaces(7)).

    In a user namespace, such as a container without root, the lower of two limits holds.
    """

    watches: Limit
    instances: Limit


def watch_limits() -> WatchLimits | None:
    """Return what the kernel allows, None where it does not tell."""
    try:
        return WatchLimits(
            _lower("fs.inotify.max_user_watches", "user.max_inotify_watches"),
            _lower("fs.inotify.max_user_instances", "user.max_inotify_instances"),
        )
    except OSError:
        return None


def _lower(*names: str) -> Limit:
    limits = [Limit(name, int((SYSCTLS / name.replace(".", "/")).read_text())) for name in names]
    return min(limits, key=lambda limit: limit.value)


def watched(root: bytes) -> int:
    """Return how many directories are watched for `root`: all below it, and those on the way.

    Excluded ones too: what is excluded now may be published by a change of a setting.
    """
    number = root.count(b"/")
    pending = [root]
    while pending:
        number += 1
        try:
            with os.scandir(pending.pop()) as children:
                pending += [each.path for each in children if each.is_dir(follow_symlinks=False)]
        except OSError:
            continue  # closed to us, or gone: it cannot be watched either
    return number
