"""Symbolic links, name by name."""

import os
from collections.abc import Iterator

MAXIMUM_STEPS = 400
"""More names than any path resolves to (path_resolution(7): 40 links, PATH_MAX)."""


def names_on_the_way(path: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield directory and name of each look-up that resolves the absolute `path`, links included.

    Ends after the first name that is not there. Whatever these names are decides what `path` is.
    """
    rest = path.split(b"/")[:0:-1]
    here = b"/"
    for _ in range(MAXIMUM_STEPS):
        if not rest:
            return
        name = rest.pop()
        if name in (b"", b".", b".."):
            here = os.path.normpath(os.path.join(here, name))
            continue
        yield here, name
        step = os.path.join(here, name)
        try:
            target = os.readlink(step)
        except OSError:
            if not os.path.lexists(step):
                return
            here = step
            continue
        rest += target.split(b"/")[::-1]
        here = b"/" if target.startswith(b"/") else here
