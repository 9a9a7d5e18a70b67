"""What the agent and a process of its own for one site say to each other, over a socket.

Each message is pickled, behind its length; both ends are of the same agent, and nobody else has the
socket.
"""

import asyncio
import pickle
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memfis.nginx.hints import Hint
from memfis.render.figures import Purged, RenderingStatus
from memfis.render.patterns import Pattern
from memfis.settings.values import Site
from memfis.sync import Change, Held, Options, Report

_LENGTH = struct.Struct("!I")

SIGN_OF_LIFE = 0.5
"""Seconds between two words of how a site is; a `Report` comes only when there is a new one."""


@dataclass(frozen=True)
class Begin:
    """Keep `site`; `level` is that of the log."""

    site: Site
    locks: Path
    mime_types: str
    installation: str | None
    """As `SiteKeeper` has it."""
    level: int


@dataclass(frozen=True)
class Sync:
    """Please sync the whole site, and answer request `number`."""

    number: int
    options: Options


@dataclass(frozen=True)
class Purge:
    """Please purge, and answer request `number`."""

    number: int
    patterns: Sequence[Pattern]
    dry_run: bool


@dataclass(frozen=True)
class State:
    """How the site is; fields as `Kept` has them."""

    begun: bool = False
    pages: int = 0
    syncs: int = 0
    last_sync: float | None = None
    waiting: int = 0
    watched: int = 0
    problems: dict[str, int] = field(default_factory=dict)
    held: Held | None = None
    rendering: RenderingStatus | None = None
    store_is_down: bool = False
    figures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Log:
    """A line of the log."""

    level: int
    line: str


@dataclass(frozen=True)
class Progress:
    """Part of an answer to request `number`: files that were dealt with, or one that would be."""

    number: int
    what: int | Change


@dataclass(frozen=True)
class Answer:
    """The end of request `number`."""

    number: int
    result: Report | Purged | BaseException


@dataclass(frozen=True)
class Ended:
    """The site is kept no more, because of an error that ends the agent."""

    error: BaseException


Request = Begin | Sync | Purge | Hint
Word = State | Report | Log | Progress | Answer | Ended


def framed(message: Request | Word) -> bytes:
    """Return `message` as it is sent."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


async def receive(reader: asyncio.StreamReader) -> Any:
    """Return the next message, a `Request` or a `Word`; None at the end."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        body = await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return pickle.loads(body)  # noqa: S301
