"""What nginx counted of visitors' requests, and how full its own memory is: asked at its socket.

`GET /figures` (lua/memfis/told.lua) answers with a line of four words for each figure:
`site NAME KIND NUMBER`, `dict NAME KIND NUMBER`. nginx counts from 0 when it is started, and goes
on counting when it is reloaded.
"""

import socket
from collections import defaultdict
from collections.abc import Iterable
from http.client import HTTPConnection, HTTPException

import msgspec

from memfis.errors import ProgramError
from memfis.settings.values import Site

PATIENCE = 1.0
"""Seconds to wait for nginx."""

PARTS = ("small", "medium", "large")
"""The parts of the first level that pages are in, by their size."""


class Answers(msgspec.Struct, frozen=True):
    """What visitors of a site got since nginx was started, in requests."""

    hits: int = 0
    """Whole answers from memory."""
    not_modified: int = 0
    """Answers from memory that what the visitor has is right (304)."""
    fallbacks: dict[str, int] = {}
    """By reason, requests that memory did not answer: docs/monitoring.md has what each means."""

    @property
    def from_memory(self) -> int:
        """Requests that memory answered."""
        return self.hits + self.not_modified

    @property
    def left(self) -> int:
        """Requests that memory did not answer."""
        return sum(self.fallbacks.values())

    @property
    def ratio(self) -> float | None:
        """The share that memory answered; None where nothing was asked."""
        asked = self.from_memory + self.left
        return self.from_memory / asked if asked else None


class Part(msgspec.Struct, frozen=True):
    """A part of the first level, in bytes."""

    size: int = 0
    free: int = 0
    """In whole pages of 4 KiB. It is full sooner or later: nothing goes before it has to."""
    evicted: int = 0
    """Entries that had to go for others since nginx was started."""


class FirstLevel(msgspec.Struct, frozen=True):
    """What one nginx counted. `sites`: by name, those that were asked for."""

    sites: dict[str, Answers]
    parts: dict[str, Part]

    @property
    def size(self) -> int:
        """Bytes for pages."""
        return sum(part.size for part in self.parts.values())

    @property
    def evicted(self) -> int:
        """Entries that had to go for others since nginx was started."""
        return sum(part.evicted for part in self.parts.values())


def socket_of(site: Site) -> str | None:
    """Return where nginx tells its figures of `site`; None: it does not count there."""
    return site.first_level if site.from_memory == "lua" else None


def counted(path: str) -> FirstLevel | None:
    """Return what the nginx at the socket `path` counted; None: it does not run.

    Raises ProgramError where it does not tell.
    """
    try:
        return _read(_ask(path))
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except PermissionError as error:
        raise ProgramError(
            f"nginx may not be asked at {path}: run this as root ({error.strerror})"
        ) from error
    except TimeoutError as error:
        raise ProgramError(f"nginx at {path}: no answer within {PATIENCE:g} s") from error
    except (OSError, HTTPException) as error:
        raise ProgramError(f"nginx at {path} tells no figures: {error}") from error
    except ValueError as error:
        raise ProgramError(f"nginx at {path} tells nonsense: {error}") from error


def _ask(path: str) -> str:
    connection = HTTPConnection("memfis")
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.settimeout(PATIENCE)
        connection.sock.connect(path)
        connection.request("GET", "/figures")
        answer = connection.getresponse()
        if answer.status != 200:
            raise OSError(f"it answered {answer.status}")
        return answer.read().decode("ascii")
    finally:
        connection.close()


def _read(text: str) -> FirstLevel:
    """Return what is in an answer; raises ValueError."""
    found: dict[str, defaultdict[str, dict[str, int]]] = {
        what: defaultdict(dict) for what in ("site", "dict")
    }
    for line in text.splitlines():
        words = line.split(" ")
        if len(words) != 4 or words[0] not in found or not words[3].isdecimal():
            raise ValueError(repr(line[:100]))
        what, name, kind, number = words
        found[what][name][kind] = int(number)
    return FirstLevel(
        {
            name: Answers(kinds.pop("hit", 0), kinds.pop("not_modified", 0), kinds)
            for name, kinds in found["site"].items()
        },
        {
            name: Part(kinds.get("size", 0), kinds.get("free", 0), kinds.get("evicted", 0))
            for name, kinds in found["dict"].items()
            if name in PARTS
        },
    )


def counted_by(sites: Iterable[Site]) -> dict[str, FirstLevel | ProgramError | None]:
    """Return what each nginx of `sites` counted, by its socket, or why it does not tell."""
    found: dict[str, FirstLevel | ProgramError | None] = {}
    for path in dict.fromkeys(path for site in sites if (path := socket_of(site))):
        try:
            found[path] = counted(path)
        except ProgramError as error:
            found[path] = error
    return found
