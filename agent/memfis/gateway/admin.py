"""Commands about the gateway itself: stats, flush_all, lru_crawler and the like."""

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote_from_bytes

from memfis import __version__
from memfis.gateway.backend import BackendError
from memfis.gateway.commands import (
    BAD_FORMAT,
    ERROR,
    Command,
    Failure,
    Stream,
    exptime_of,
    signed,
    unsigned,
)
from memfis.gateway.items import Items
from memfis.settings.gateway import NAME

VERSION = f"1.6.18-{__version__}-{NAME}"
"""What `version` says: the memcached that it speaks as, which clients look at, and what it is."""

_LARGEST_CLASS = 63
"""Of memcached's classes of items by size (memcached.h, MAX_NUMBER_OF_SLAB_CLASSES)."""

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


class Forget(Command):
    """`forget [KEY...]`, which memcached has not: what was read is asked for anew.

    Nothing changes in the database. A host asks so for what another one has removed.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[bytes], *, quiet: bool = False) -> None:
        """Forget the items at `keys`; without any: all."""
        super().__init__(quiet=quiet)
        self._keys = keys

    def begin(self, items: Items) -> None:
        """Forget them."""
        for key in self._keys:
            items.reads.forget(key)
        if not self._keys:
            items.reads.forget_all()

    def answer(self, items: Items, result: None) -> bytes:
        """Return the answer."""
        return b"OK\r\n"


class Listing(Stream):
    """`lru_crawler metadump`: every key, as far as the database can tell."""

    __slots__ = ("_limit", "_line")

    def __init__(self, line: Callable[[bytes], bytes], limit: int = 0) -> None:
        """List each key as `line` makes it, at most `limit` of them; 0: all."""
        super().__init__()
        self._line, self._limit = line, limit

    async def parts(self, items: Items) -> AsyncGenerator[bytes, None]:
        """Yield lines."""
        lines: list[bytes] = []
        left = self._limit
        async for key in items.reads.keys():
            lines.append(self._line(key))
            left -= 1
            if left == 0:
                break
            if len(lines) >= _LISTED:
                yield b"".join(lines)
                lines.clear()
        yield b"".join(lines) + b"END\r\n"


class CacheDump(Listing):
    """`stats cachedump` of the one class that there is."""

    __slots__ = ()

    async def parts(self, items: Items) -> AsyncGenerator[bytes, None]:
        """Yield lines; END where none can be told: libmemcached aborts on an error."""
        try:
            async for part in super().parts(items):
                yield part
        except BackendError as error:
            items.figures.errors[error.kind] += 1
            yield b"END\r\n"


def _dumped(key: bytes) -> bytes:
    """Return a line of `lru_crawler metadump`, which in memcached ends in a bare newline."""
    name = quote_from_bytes(key, safe="").encode("ascii")
    return b"key=%b exp=-1 la=0 cas=0 fetch=no cls=1 size=0\n" % name


def _item(key: bytes) -> bytes:
    """Return a line of `stats cachedump`."""
    return b"ITEM %b [0 b; 0 s]\r\n" % key


class Stats(Command):
    """`stats`, alone and of a topic."""

    __slots__ = ("_figures",)

    def __init__(self, figures: "Figures") -> None:
        super().__init__()
        self._figures = figures

    def begin(self, items: Items) -> Any:
        """Return the figures."""
        return self._figures(items)

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
    yield "patient_breaker", "open" if items.guard.patient_breaker.is_open else "closed"
    yield "patient_breaker_opened", items.guard.patient_breaker.opened
    yield "breaker_rejected", figures.rejected_by_breaker
    yield "slow_clients", figures.slow_clients
    for name, budget in (("outgoing", items.loans.budget), ("incoming", items.incoming)):
        yield f"{name}_bytes", budget.used
        yield f"{name}_limit_bytes", budget.limit


def _settings(items: Items) -> Iterator[tuple[str, object]]:
    settings = items.settings
    yield "maxbytes", settings.room
    yield "maxconns", settings.max_connections
    yield "item_size_max", settings.max_item
    yield "evictions", "off"
    yield "cas_enabled", "yes"
    yield "auth_enabled_sasl", "no"
    yield "shutdown_command", "no"
    yield "read_only", "yes" if settings.read_only else "no"
    yield "flush_enabled", "yes" if settings.allow_flush else "no"
    yield "backend", f"{settings.connection} {settings.bucket}"
    for name in ("hot_ttl", "stale_if_error", "timeout", "write_timeout", "breaker_failures"):
        yield name, getattr(settings, name)


def _slabs(_: Items) -> Iterator[tuple[str, object]]:
    yield "active_slabs", 0
    yield "total_malloced", 0


Figures = Callable[[Items], Iterator[tuple[str, object]]]
"""What `stats` tells: names and figures."""

_TOPICS: dict[bytes, Figures] = {
    b"settings": _settings,
    # All items are of one class, the first.
    b"items": lambda items: iter([("items:1:number", len(items.seen))]),
    b"slabs": _slabs,
    b"sizes": lambda _: iter([("sizes_status", "disabled")]),
    # Who is connected is nobody's business; there is no second storage.
    b"conns": lambda _: iter([]),
    b"extstore": lambda _: iter([]),
}
_REFUSED_TOPICS = {
    b"reset": b"CLIENT_ERROR the gateway's figures cannot be reset\r\n",
    b"detail": b"CLIENT_ERROR the gateway counts nothing by prefixes of keys\r\n",
    b"sizes_enable": b"CLIENT_ERROR the gateway counts no sizes\r\n",
    b"sizes_disable": b"CLIENT_ERROR the gateway counts no sizes\r\n",
}

REFUSED = {
    b"cache_memlimit": b"CLIENT_ERROR the bucket's memory is set in Couchbase\r\n",
    b"slabs": b"CLIENT_ERROR the gateway has no slabs\r\n",
    b"lru": b"CLIENT_ERROR the gateway has no queues of items\r\n",
    b"watch": b"CLIENT_ERROR the gateway's log is the system's\r\n",
    # As memcached says it, which by default does neither.
    b"shutdown": b"ERROR: shutdown not enabled\r\n",
    b"refresh_certs": b"Error TLS not enabled\r\n",
}
"""Commands about memory and processes that the gateway does not have, with one line each."""

_NEEDS_MORE = (b"cache_memlimit", b"slabs", b"lru")
"""Those that are an ERROR alone."""

_CRAWLER = (b"enable", b"disable", b"sleep", b"tocrawl", b"crawl")


def parse(words: list[bytes], _: int) -> Command:
    """Return the command that `words` are; the first is its name."""
    name = words[0]
    quiet = words[-1] == b"noreply"
    if name == b"version":
        return Say(f"VERSION {VERSION}\r\n".encode())
    if name == b"verbosity":
        if not 2 <= len(words) <= 3:
            return Failure(ERROR)
        is_level = quiet or signed(words[1]) is not None
        return Say(b"OK\r\n" if is_level else BAD_FORMAT, quiet=quiet)
    if name == b"stats":
        return _stats(words)
    if name == b"forget":
        return Forget(words[1 : -1 if quiet else None], quiet=quiet)
    if name == b"flush_all" and len(words) <= 3:
        delay = words[1:2] if words[1:] != [b"noreply"] else []
        if delay and exptime_of(delay[0]) is None:
            return Failure(b"CLIENT_ERROR invalid exptime argument\r\n", quiet=quiet)
        if delay and (exptime_of(delay[0]) or 0) > 0:
            return Failure(b"CLIENT_ERROR the gateway cannot flush later\r\n", quiet=quiet)
        return Flush(quiet=quiet)
    if name == b"lru_crawler" and words[1:2] == [b"metadump"] and len(words) == 3:
        return Listing(_dumped)
    if name == b"lru_crawler" and words[1:2] and words[1] in _CRAWLER:
        return Failure(b"CLIENT_ERROR the gateway has no LRU crawler\r\n", quiet=quiet)
    if name in REFUSED and (len(words) > 1 or name not in _NEEDS_MORE):
        return Failure(REFUSED[name], quiet=quiet)
    return Failure(ERROR)


def _stats(words: list[bytes]) -> Command:
    if len(words) == 1:
        return Stats(_general)
    topic = words[1]
    if topic == b"cachedump":
        return _cachedump(words[2:])
    if topic == b"detail" and words[2:] == [b"dump"]:
        return Stats(lambda _: iter([]))
    if topic in _REFUSED_TOPICS:
        return Failure(_REFUSED_TOPICS[topic])
    return Stats(_TOPICS[topic]) if topic in _TOPICS else Failure(ERROR)


def _cachedump(words: list[bytes]) -> Command:
    """Return the listing of a class; PHP's getAllKeys and memcdump ask for that of each."""
    if len(words) < 2:
        return Failure(b"CLIENT_ERROR bad command line\r\n")
    number, limit = unsigned(words[0], 32), unsigned(words[1], 32)
    if number is None or limit is None:
        return Failure(BAD_FORMAT)
    if number > _LARGEST_CLASS:
        return Failure(b"CLIENT_ERROR Illegal slab id\r\n")
    return CacheDump(_item, limit) if number == 1 else Stats(lambda _: iter([]))
