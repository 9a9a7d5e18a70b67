"""Pages that say what they are: whoever gets one can tell whether it is whole and current."""

import hashlib
import os
import random
import time
from pathlib import Path
from threading import Lock

_WORDS = " ".join("".join(random.Random(n).choices("etaoinshr", k=6)) for n in range(20_000))
_TEXT = _WORDS.encode()

BROKEN = -1
"""What `version` returns for a body that is not a whole page."""


class Pages:
    """The files of a web root: replaced by renaming, so that the disk never has half of one."""

    def __init__(self, root: Path, number: int) -> None:
        self._root = root
        self._aside = root.parent / "next-page"
        self._versions = [0] * number
        self._replaced: list[dict[int, float]] = [{} for _ in range(number)]
        self._lock = Lock()
        for directory in {root / self.path(page)[1:] for page in range(number)}:
            directory.parent.mkdir(parents=True, exist_ok=True)
        for page in range(number):
            self.change(page)

    def __len__(self) -> int:
        return len(self._versions)

    def path(self, page: int) -> str:
        """Return the URL path of a page; it needs no escaping."""
        return f"/{page % 7}/{page}.html"

    def change(self, page: int) -> None:
        """Put the next version of a page in the place of the one that is there."""
        with self._lock:
            version = self._versions[page] + 1
            self._aside.write_bytes(_content(page, version))
            os.rename(self._aside, self._root / self.path(page)[1:])
            self._replaced[page][version - 1] = time.monotonic()
            self._versions[page] = version

    def current(self, page: int) -> int:
        """Return the version that is on disk."""
        return self._versions[page]

    def replaced(self, page: int, version: int) -> float | None:
        """Return when `version` of a page was replaced (`time.monotonic`), None for the last."""
        return self._replaced[page].get(version)

    def version(self, page: int, body: bytes) -> int:
        """Return which version of the page `body` is, BROKEN when it is not whole."""
        try:
            version = int(body.split(b" ", 2)[1])
        except (ValueError, IndexError):
            return BROKEN
        return version if body == _content(page, version) else BROKEN


def _content(page: int, version: int) -> bytes:
    """Return a version of a page: 1 to 4 KB, one in twenty 60 to 120 KB; no two sizes the same."""
    size = (60_000 + page * 97 % 60_000 if page % 20 == 0 else 1_000 + page * 97 % 3_000) + version
    start = version * 131 % 10_000
    body = _TEXT[start : start + size]
    return b"%d %d %s\n%s" % (page, version, hashlib.sha256(body).hexdigest().encode(), body)
