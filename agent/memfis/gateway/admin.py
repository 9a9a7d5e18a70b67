"""Commands about the gateway itself: stats, flush_all, lru_crawler and the like."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote_from_bytes

from memfis import __version__
from memfis.gateway.commands import BAD_FORMAT, ERROR, Command, Failure, Stream, signed
from memfis.gateway.items import Items
from memfis.settings.gateway import NAME

VERSION = f"{__version__}-{NAME}"
"""What `version` says."""

_LISTED = 500
"""Keys in one part of a listing."""


class Say(Command):
    """A command with one answer."""

    __slots__ = ("_text",)

    def __init__(self, text: bytes, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self._text = text

    def begin(self, items: Items) -> None:
        """Do nothing."""

    def answer(self, items: Items, result: None) -> bytes:
        """Return the answer."""
        return self._text


class Flush(Command):
    """`flush_all`: everything goes, if that is allowed."""

    __slots__ = ()
    writes = True

    async def begin(self, items: Items) -> bytes:
        """Return the answer."""
        if not items.settings.allow_flush:
            return b"CLIENT_ERROR flush_all not allowed\r\n"
        await items.writes.flush()
        return b"OK\r\n"

    def answer(self, items: Items, result: bytes) -> bytes:
        """Return the answer."""
        return result


class Listing(Stream):
    """`lru_crawler metadump`: every key, as far as the database can tell."""

    __slots__ = ()

    async def parts(self, items: Items) -> AsyncIterator[bytes]:
        """Yield lines as memcached's, which end in a bare newline."""
        lines: list[bytes] = []
        async for key in items.reads.keys():
            name = quote_from_bytes(key, safe="").encode("ascii")
            lines.append(b"key=%b exp=-1 la=0 cas=0 fetch=no cls=1 size=0\n" % name)
            if len(lines) >= _LISTED:
                yield b"".join(lines)
                lines.clear()
        yield b"".join(lines) + b"END\r\n"


class Stats(Command):
    """`stats` and `stats settings`."""

    __slots__ = ("_settings",)

    def __init__(self, *, settings: bool) -> None:
        super().__init__()
        self._settings = settings

    def begin(self, items: Items) -> Any:
        """Return the figures."""
        return _settings(items) if self._settings else _general(items)

    def answer(self, items: Items, result: Iterator[tuple[str, object]]) -> bytes:
        """Write them as memcached does."""
        lines = [f"STAT {name} {figure}\r\n" for name, figure in result]
        return "".join([*lines, "END\r\n"]).encode("ascii", "backslashreplace")


def _general(items: Items) -> Iterator[tuple[str, object]]:
    figures, breaker = items.figures, items.guard.breaker
    yield from figures.process().items()
    yield "version", VERSION
    yield "pointer_size", 64
    yield "curr_connections", figures.connections
    yield "total_connections", figures.total_connections
    yield "rejected_connections", figures.rejected_connections
    yield "max_connections", items.settings.max_connections
    for name in ("get", "set", "touch", "flush", "meta"):
        yield f"cmd_{name}", figures.commands[name]
    yield "get_hits", figures.hits
    yield "get_misses", figures.misses
    for name in ("delete", "incr", "decr", "cas", "touch"):
        yield f"{name}_misses", figures.done[f"{name}_misses"]
        yield f"{name}_hits", figures.done[f"{name}_hits"]
    yield "cas_badval", figures.done["cas_badval"]
    yield "bytes_read", figures.bytes_read
    yield "bytes_written", figures.bytes_written
    yield "curr_items", len(items.seen)
    yield "bytes", items.seen.bytes
    yield "limit_maxbytes", items.settings.room
    yield "evictions", 0
    yield "hot_items", len(items.hot)
    yield "hot_bytes", items.hot.bytes
    yield "hot_limit_bytes", items.settings.hot_bytes
    yield "hot_evictions", items.hot.evictions
    yield "hits_hot", figures.hits_hot
    yield "hits_revalidated", figures.hits_revalidated
    yield "hits_stale", figures.hits_stale
    yield "hits_backend", figures.hits_backend
    yield "looks_without_value", figures.briefs
    for kind, number in sorted(figures.errors.items()):
        yield f"errors_{kind}", number
    yield "breaker", "open" if breaker.is_open else "closed"
    yield "breaker_opened", breaker.opened
    yield "breaker_rejected", figures.rejected_by_breaker
    yield "slow_clients", figures.slow_clients


def _settings(items: Items) -> Iterator[tuple[str, object]]:
    settings = items.settings
    yield "maxbytes", settings.room
    yield "maxconns", settings.max_connections
    yield "item_size_max", settings.max_item
    yield "evictions", "off"
    yield "cas_enabled", "yes"
    yield "read_only", "yes" if settings.read_only else "no"
    yield "flush_enabled", "yes" if settings.allow_flush else "no"
    yield "backend", f"{settings.connection} {settings.bucket}"
    for name in ("hot_ttl", "stale_if_error", "timeout", "write_timeout", "breaker_failures"):
        yield name, getattr(settings, name)


def parse(words: list[bytes], _: int) -> Command:
    """Return the command that `words` are; the first is its name."""
    name = words[0]
    quiet = words[-1] == b"noreply"
    if name == b"version" and len(words) == 1:
        return Say(f"VERSION {VERSION}\r\n".encode())
    if name == b"verbosity":
        if not 2 <= len(words) <= 3:
            return Failure(ERROR)
        is_level = quiet or signed(words[1]) is not None
        return Say(b"OK\r\n" if is_level else BAD_FORMAT, quiet=quiet)
    if name == b"stats":
        return _stats(words)
    if name == b"flush_all" and len(words) <= 3:
        delay = words[1:2] if words[1:] != [b"noreply"] else []
        if delay and signed(delay[0]) is None:
            return Failure(b"CLIENT_ERROR invalid exptime argument\r\n", quiet=quiet)
        if delay and (signed(delay[0]) or 0) > 0:
            return Failure(b"CLIENT_ERROR the gateway cannot flush later\r\n", quiet=quiet)
        return Flush(quiet=quiet)
    if name == b"lru_crawler" and words[1:2] == [b"metadump"] and len(words) == 3:
        return Listing()
    return Failure(ERROR)


def _stats(words: list[bytes]) -> Command:
    topic = words[1:]
    if not topic or topic[0] == b"settings":
        return Stats(settings=bool(topic))
    if topic == [b"reset"]:
        return Failure(b"CLIENT_ERROR the gateway's figures cannot be reset\r\n")
    return Failure(ERROR)
