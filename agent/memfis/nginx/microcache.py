"""nginx's microcache of PHP's answers: its files go at a purge, or it would show for a second."""

import asyncio
import logging
import os
import re
from contextlib import suppress
from hashlib import md5

from memfis.layout.keys import PAGE

AGAIN = (0.25, 1.0, 2.0, 5.0)
"""Seconds after a purge when files are removed once more: an answer that PHP began before it may
have been written meanwhile. One that takes longer shows for the second that it is kept."""

_NAME = re.compile("[0-9a-f]{32}")
"""Of a finished file; what nginx is still writing has another."""

log = logging.getLogger("memfis")


class Microcache:
    """The directory of a `fastcgi_cache` without `levels`."""

    def __init__(self, directory: str | None) -> None:
        """Remember `directory`; None: there is none."""
        self._directory = directory
        self._told = False

    def purge(self, key: bytes | None) -> None:
        """Remove the file of `key` (see `cache_key`), or with None all, now and seconds later."""
        if self._directory is None:
            return
        self._remove(key)
        loop = asyncio.get_running_loop()
        for seconds in AGAIN:
            loop.call_later(seconds, self._remove, key)

    def _remove(self, key: bytes | None) -> None:
        try:
            remove(self._directory or "", key)
        except OSError as error:
            if not self._told:
                self._told = True
                log.warning("microcache %s: %s", error.filename, error.strerror)


def cache_key(site: str, path: bytes) -> bytes:
    """Return the key of the page at `path` in the microcache: that of the store, not escaped."""
    return PAGE + site.encode("ascii") + path


def remove(directory: str, key: bytes | None) -> None:
    """Remove the file of `key`, or with None all, from the microcache `directory`.

    nginx takes a file that is not there for a miss (ngx_http_file_cache_open). Raises OSError.
    """
    if key is not None:
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, md5(key, usedforsecurity=False).hexdigest()))
        return
    with suppress(FileNotFoundError), os.scandir(directory) as files:
        for file in files:
            with suppress(FileNotFoundError):
                if _NAME.fullmatch(file.name):
                    os.unlink(file.path)
