"""nginx's microcache of PHP's answers: its files go at a purge, or it would show for a second."""

import asyncio
import logging
import os
import re
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from hashlib import md5

from memfis.layout.identity import may_be_spelled
from memfis.layout.keys import PAGE

AGAIN = (0.25, 0.5, 1.0)
"""Seconds after a purge when files are removed once more: an answer that PHP began before it may
have been written meanwhile. What is written later is of a second that is over: nobody gets it."""

AROUND = (-1, 0, 1)
"""Seconds about a purge whose files go: clocks are read one after the other."""

AT_ONCE = 200
"""Files that are removed before other things may happen."""

_NAME = re.compile("[0-9a-f]{32}")
"""Of a finished file; what nginx is still writing has another."""

log = logging.getLogger("memfis")


class Microcache:
    """The directory of a `fastcgi_cache` without `levels`."""

    def __init__(self, directory: str | None, site: str) -> None:
        """Remember `directory`, None: there is none, and whose it is."""
        self._directory = directory
        self._site = site
        self._told = False

    def purge(self, paths: Collection[bytes]) -> Iterator[None]:
        """Remove the files of the decoded `paths`, without any all, now and once more later.

        Yields where other things may be done in between.
        """
        if self._directory is None:
            return
        names = file_names(self._site, paths, time.time())
        loop = asyncio.get_running_loop()
        for seconds in AGAIN:
            loop.call_later(seconds, self._once_more, names)
        yield from self._remove(names)

    def _once_more(self, names: Collection[str] | None) -> None:
        if names is not None:
            self._all_of(names)
            return
        with suppress(RuntimeError):  # the loop is about to end
            asyncio.get_running_loop().run_in_executor(None, self._all_of, None)

    def _all_of(self, names: Collection[str] | None) -> None:
        for _ in self._remove(names):
            pass

    def _remove(self, names: Collection[str] | None) -> Iterator[None]:
        try:
            yield from remove(self._directory or "", names)
        except OSError as error:
            if not self._told:
                self._told = True
                log.warning("microcache %s: %s", error.filename, error.strerror)


def file_names(site: str, paths: Collection[bytes], now: float) -> list[str] | None:
    """Return the names of the files of `paths` about `now` (seconds since the epoch).

    None: all files, as no paths are given, or there may be pages of the same decoded path.
    """
    if not paths or any(map(may_be_spelled, paths)):
        return None
    seconds = [int(now) + each for each in AROUND]
    keys = [cache_key(site, path, second) for path in paths for second in seconds]
    return [md5(key, usedforsecurity=False).hexdigest() for key in keys]


def cache_key(site: str, path: bytes, second: int) -> bytes:
    """Return the key in the microcache of the page that is kept under `path`.

    `second`: since the epoch, in which the request came that it was made for.
    """
    return b"%b%b%b %d" % (PAGE, site.encode("ascii"), path, second)


def remove(directory: str, names: Collection[str] | None) -> Iterator[None]:
    """Remove the files called `names`, or with None all, from the microcache `directory`.

    nginx takes a file that is not there for a miss (ngx_http_file_cache_open). Yields where other
    things may be done in between; raises OSError.
    """
    if names is None:
        with suppress(FileNotFoundError):
            names = [name for name in os.listdir(directory) if _NAME.fullmatch(name)]
    for number, name in enumerate(names or (), 1):
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, name))
        if not number % AT_ONCE:
            yield
