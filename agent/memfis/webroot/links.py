"""Symbolic links, name by name.

As a program it tells the play, on a host, how web roots are reached there:
`python3 links.py ROOT...` prints `memfis.service.sandbox.Found` as JSON. So it needs only Python's
standard library.
"""

import errno
import json
import os
import stat
import sys
from collections.abc import Iterator

MAXIMUM_STEPS = 400
"""More names than any path resolves to (path_resolution(7): 40 links, PATH_MAX)."""

HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108
"""What a unit may hide, and may itself be a link."""


def names_on_the_way(path: bytes, top: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """Yield directory and name of each look-up that resolves the absolute `path`, links included.

    Ends after the first name that is not there. Whatever these names are decides what `path` is.
    `top`: what is `/` for the one who looks, as `/proc/PID/root` is for another process.
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
            target = os.readlink(top + step)
        except OSError:
            if not os.path.lexists(top + step):
                return
            here = step
            continue
        rest += target.split(b"/")[::-1]
        here = b"/" if target.startswith(b"/") else here


def places_on_the_way(path: bytes, top: bytes = b"") -> list[bytes]:
    """Return the directories that the absolute `path` passes, and at last where it leads to.

    All are free of links; where a name is not there, the last is the one that would be.
    """
    places, last = [b"/"], b"/"
    for directory, name in names_on_the_way(path, top):
        if directory != places[-1]:
            places.append(directory)
        last = os.path.join(directory, name)
    if not os.path.islink(top + last) and last != places[-1]:
        places.append(last)
    return places


def main() -> None:
    """Print how the web roots are reached that the arguments name."""
    ways = {root: {"kind": _kind(root), "places": _shown(root)} for root in sys.argv[1:]}
    print(json.dumps({"ways": ways, "real": {each: os.path.realpath(each) for each in HIDDEN}}))


def _kind(root: str) -> str:
    try:
        return "directory" if stat.S_ISDIR(os.stat(root).st_mode) else "file"
    except OSError as error:
        return {errno.ELOOP: "circle", errno.ENOTDIR: "file"}.get(error.errno or 0, "missing")


def _shown(root: str) -> list[str]:
    places = [os.fsdecode(each) for each in places_on_the_way(os.fsencode(root))]
    return [*places, root] if _kind(root) == "missing" else places


if __name__ == "__main__":
    main()
