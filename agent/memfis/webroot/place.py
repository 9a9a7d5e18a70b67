"""Where a web root is: found as the kernel finds it, and whether nginx's user may get there."""

import errno
import os
import stat
from collections.abc import Iterator

from memfis.errors import BrokenRootError, ClosedRootError, MissingRootError, RootError
from memfis.layout.paths import shown
from memfis.service.sandbox import hidden_here
from memfis.webroot.links import names_on_the_way, places_on_the_way
from memfis.webroot.reader import SEARCH, Reader

MISSING = frozenset((errno.ENOENT, errno.ENOTDIR))
"""What a name that is not there fails with (path_resolution(7))."""

CLOSED = frozenset((errno.EACCES, errno.EPERM, errno.ELOOP))
"""What a name that leads nowhere for this user fails with.

All else is a fault of the file system or of the host, which says nothing of what is there.
"""


def find_root(given: bytes, reader: Reader) -> tuple[bytes, ClosedRootError | None]:
    """Return what the web root `given` (an absolute path) is without links, and why it is closed.

    Closed: `reader` may not enter it, or a directory on the way there. Raises MissingRootError when
    nothing is there that could be a web root, BrokenRootError when that cannot be told.
    """
    try:
        root = os.path.realpath(given, strict=True)
        if not stat.S_ISDIR(os.stat(root).st_mode):
            raise MissingRootError(f"web root {shown(given)}: not a directory")
        os.scandir(root).close()
        closed = closed_on_the_way(given, reader)
        if closed is None and _is_closed(root, reader):
            closed = root
        mode = stat.filemode(os.stat(closed).st_mode) if closed else ""
    except OSError as error:
        problem = root_error(given, error)
        if isinstance(problem, ClosedRootError):
            return os.path.realpath(given), problem
        raise problem from error
    if not closed:
        return root, None
    return root, ClosedRootError(
        f"web root {shown(given)}: nginx's user {reader.name} may not enter {shown(closed)}"
        f" ({mode}); nginx could serve nothing of it"
    )


def root_error(given: bytes, error: OSError) -> RootError:
    """Return what `error`, met at the web root `given`, means."""
    kind: type[RootError] = BrokenRootError
    if error.errno in MISSING or error.errno == errno.ELOOP:  # a circle of links
        kind = MissingRootError
    elif error.errno in CLOSED:
        kind = ClosedRootError
    hidden = hidden_here(places_on_the_way(given))
    why = f"{error.strerror}; {hidden}" if hidden else error.strerror
    return kind(f"web root {shown(given)}: {why}")


def closed_on_the_way(path: bytes, reader: Reader) -> bytes | None:
    """Return the first directory that `reader` may not enter on the way to the absolute `path`.

    Links are followed as the kernel follows them, the last name too: what they lead through counts
    like what is above. Raises OSError.
    """
    for directory in _directories_on_the_way(path):
        if _is_closed(directory, reader):
            return directory
    return None


def _directories_on_the_way(path: bytes) -> Iterator[bytes]:
    """Yield each directory in which a name of `path` is looked up, once."""
    seen: set[bytes] = set()
    for directory, _ in names_on_the_way(path):
        if directory not in seen:
            seen.add(directory)
            yield directory


def _is_closed(directory: bytes, reader: Reader) -> bool:
    return not reader.may(SEARCH, directory, os.stat(directory))
