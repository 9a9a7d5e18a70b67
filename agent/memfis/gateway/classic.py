"""The classic commands: get, set and their like (memcached doc/protocol.txt)."""

from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

from memfis.gateway.answers import Answer, with_value
from memfis.gateway.arithmetic import Count
from memfis.gateway.backend import BackendError, Document, UnavailableError, Write
from memfis.gateway.budget import LARGE
from memfis.gateway.commands import (
    BAD_FORMAT,
    ERROR,
    LONGEST,
    Command,
    Failure,
    Found,
    Stream,
    TooLarge,
    expires_at,
    exptime_of,
    key_fits,
    signed,
    unsigned,
)
from memfis.gateway.hot import HotItem
from memfis.gateway.items import Items
from memfis.gateway.writes import Outcome

MANY = 32
"""Keys of one `get` that are asked for together."""

_STORED = {
    Outcome.DONE: b"STORED\r\n",
    Outcome.NOT_STORED: b"NOT_STORED\r\n",
    Outcome.EXISTS: b"EXISTS\r\n",
    Outcome.NOT_FOUND: b"NOT_FOUND\r\n",
}


class Get(Command):
    """`get` of one key: what nginx sends."""

    __slots__ = ()
    lane = "read"

    def size(self, items: Items) -> int:
        """Return how many bytes its page may take."""
        return items.seen.size(self.key)

    def begin(self, items: Items) -> Any:
        """Look into the hot cache, or ask the database."""
        return items.reads.get(self.key)

    def answer(self, items: Items, result: Found) -> Answer:
        """Return the page."""
        if isinstance(result, HotItem):
            return result.answer
        if result is None:
            items.figures.misses += 1
            return b"END\r\n"
        items.figures.hits_backend += 1
        head = b"VALUE %b %d %d\r\n" % (self.key, result.flags, len(result.value))
        return with_value(head, result.value, b"\r\nEND\r\n")

    def failed(self, items: Items, error: BackendError) -> Answer:
        """Return an old page if that is allowed."""
        entry = items.reads.rescue(self.key) if isinstance(error, UnavailableError) else None
        return super().failed(items, error) if entry is None else entry.answer


class GetMany(Stream):
    """`get` of many keys, `gets`, `gat` and `gats`."""

    __slots__ = ("_cas", "_exptime", "_keys", "writes")

    def __init__(self, keys: list[bytes], *, cas: bool, exptime: int | None) -> None:
        super().__init__()
        self._keys, self._cas, self._exptime = keys, cas, exptime
        self.writes = exptime is not None

    async def parts(self, items: Items) -> AsyncGenerator[Answer, None]:
        """Yield each value that is there; as many are asked for at a time as one client may."""
        left = deque(self._keys)
        while left:
            sizes: dict[bytes, int] = {}
            keys: list[bytes] = []
            while left and len(keys) < MANY:
                size = sizes.get(left[0]) or items.seen.size(left[0])
                if keys and sum(sizes.values()) + size > items.loans.share:
                    break
                keys.append(left.popleft())
                sizes[keys[-1]] = size
            large = {key: size for key, size in sizes.items() if size > LARGE}
            with items.loans.loan(sum(sizes.values()) - sum(large.values()), large) as loan:
                await loan.take(items.settings.timeout)
                found = [pair async for pair in self._found(items, sizes)]
                documents = {key: document for key, document in found if document is not None}
                loan.came(documents.items())
                for key in keys:
                    document = documents.get(key)
                    if document is None:
                        items.figures.misses += 1
                        continue
                    items.figures.hits_backend += 1
                    head = b"VALUE %b %d %d%b\r\n" % (
                        *(key, document.flags, len(document.value)),
                        b" %d" % document.cas if self._cas else b"",
                    )
                    yield with_value(head, document.value, b"\r\n")
        yield b"END\r\n"

    async def _found(
        self, items: Items, keys: Iterable[bytes]
    ) -> AsyncGenerator[tuple[bytes, Document | None], None]:
        """Yield what is there, all of it asked for at once."""
        asked = [
            (key, items.reads.ask(key) if self._cas else items.reads.peek(key)) for key in keys
        ]
        for key, result in asked:
            document = result.document() if isinstance(result, HotItem) else await result
            if self._exptime is not None and document is not None:
                expires = expires_at(self._exptime, items)
                items.figures.done["touch_hits"] += await items.writes.touch(key, expires)
            yield key, document


class Set(Command):
    """`set`: written whatever was there."""

    __slots__ = ("exptime", "flags")
    lane: str | None = "write"
    writes = True

    def __init__(self, key: bytes, flags: int, exptime: int, length: int, *, quiet: bool) -> None:
        super().__init__(key, length, quiet=quiet)
        self.flags, self.exptime = flags, exptime

    def begin(self, items: Items) -> Any:
        """Write it."""
        return items.writes.set(self.write(items))

    def write(self, items: Items) -> Write:
        """Return what is to be stored."""
        return Write(self.key, self.value, self.flags, expires_at(self.exptime, items))

    def answer(self, items: Items, result: Any) -> bytes:
        """Say that it is stored."""
        return b"STORED\r\n"


class Conditional(Set):
    """`add`, `replace`, `append`, `prepend` and `cas`."""

    __slots__ = ("_cas", "_verb")
    lane = None

    def __init__(
        self,
        verb: bytes,
        key: bytes,
        flags: int,
        exptime: int,
        length: int,
        cas: int | None,
        *,
        quiet: bool,
    ) -> None:
        super().__init__(key, flags, exptime, length, quiet=quiet)
        self._verb, self._cas = verb, cas

    def begin(self, items: Items) -> Any:
        """Write it, if the condition holds."""
        if self._verb == b"add":
            return items.writes.add(self.write(items))
        if self._verb in (b"append", b"prepend"):
            return items.writes.extend(self.key, self.value, front=self._verb == b"prepend")
        return items.writes.replace(self.write(items), self._cas)

    def answer(self, items: Items, result: tuple[Outcome, int]) -> bytes:
        """Say what came of it."""
        outcome, _ = result
        if self._verb == b"replace" and outcome is Outcome.NOT_FOUND:
            outcome = Outcome.NOT_STORED
        if self._verb == b"cas":
            names = {Outcome.DONE: "cas_hits", Outcome.EXISTS: "cas_badval"}
            items.figures.done[names.get(outcome, "cas_misses")] += 1
        return _STORED[outcome]


class Delete(Command):
    """`delete`."""

    __slots__ = ()
    lane = "delete"
    writes = removes = True

    def begin(self, items: Items) -> Any:
        """Remove it."""
        return items.writes.delete(self.key)

    def answer(self, items: Items, result: bool) -> bytes:
        """Say whether it was there."""
        items.figures.done["delete_hits" if result else "delete_misses"] += 1
        return b"DELETED\r\n" if result else b"NOT_FOUND\r\n"


class Touch(Command):
    """`touch`."""

    __slots__ = ("_exptime",)
    lane = "touch"
    writes = True

    def __init__(self, key: bytes, exptime: int, *, quiet: bool) -> None:
        super().__init__(key, quiet=quiet)
        self._exptime = exptime

    def begin(self, items: Items) -> Any:
        """Set its expiry."""
        return items.writes.touch(self.key, expires_at(self._exptime, items))

    def answer(self, items: Items, result: bool) -> bytes:
        """Say whether it was there."""
        items.figures.done["touch_hits" if result else "touch_misses"] += 1
        return b"TOUCHED\r\n" if result else b"NOT_FOUND\r\n"


def parse(words: list[bytes], max_item: int) -> Command:
    """Return the command that `words` are; the first is its name."""
    reader = _READERS.get(words[0])
    return Failure(ERROR) if reader is None else reader(words, max_item)


def _get(words: list[bytes], _: int) -> Command:
    touches = words[0] in (b"gat", b"gats")
    keys = words[2:] if touches else words[1:]
    if not keys and not (touches and len(words) == 2):
        return Failure(ERROR)
    exptime = exptime_of(words[1]) if touches else None
    if touches and exptime is None:
        return Failure(b"CLIENT_ERROR invalid exptime argument\r\n")
    if not keys:
        return Failure(b"END\r\n")
    if not all(map(key_fits, keys)):
        return Failure(BAD_FORMAT)
    if len(words) == 2 and words[0] == b"get":
        return Get(keys[0])
    return GetMany(keys, cas=words[0] in (b"gets", b"gats"), exptime=exptime)


def _set(words: list[bytes], max_item: int) -> Command:
    verb = words[0]
    expected = 6 if verb == b"cas" else 5
    quiet = words[-1] == b"noreply"
    if not expected <= len(words) <= expected + 1:
        return Failure(ERROR)
    length = signed(words[4])
    if length is None or not 0 <= length <= LONGEST:
        return Failure(BAD_FORMAT, quiet=quiet)
    flags, exptime = unsigned(words[2], 32), exptime_of(words[3])
    cas = unsigned(words[5]) if verb == b"cas" else None
    if (
        flags is None
        or exptime is None
        or not key_fits(words[1])
        or (verb == b"cas" and cas is None)
    ):
        return Failure(BAD_FORMAT, length, quiet=quiet)
    if length > max_item:
        return TooLarge(words[1], length, quiet=quiet)
    if verb == b"set":
        return Set(words[1], flags, exptime, length, quiet=quiet)
    return Conditional(verb, words[1], flags, exptime, length, cas, quiet=quiet)


def _delete(words: list[bytes], _: int) -> Command:
    quiet = words[-1] == b"noreply"
    if not 2 <= len(words) <= 4:
        return Failure(ERROR)
    if len(words) > 2 and words[2:] not in ([b"0"], [b"noreply"], [b"0", b"noreply"]):
        return Failure(
            b"CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n", quiet=quiet
        )
    return Delete(words[1], quiet=quiet) if key_fits(words[1]) else Failure(BAD_FORMAT, quiet=quiet)


def _count(words: list[bytes], _: int) -> Command:
    quiet = words[-1] == b"noreply"
    if not 3 <= len(words) <= 4:
        return Failure(ERROR)
    if not key_fits(words[1]):
        return Failure(BAD_FORMAT, quiet=quiet)
    by = unsigned(words[2])
    if by is None:
        return Failure(b"CLIENT_ERROR invalid numeric delta argument\r\n", quiet=quiet)
    return Count(words[1], by, up=words[0] == b"incr", quiet=quiet)


def _touch(words: list[bytes], _: int) -> Command:
    quiet = words[-1] == b"noreply"
    if not 3 <= len(words) <= 4:
        return Failure(ERROR)
    if not key_fits(words[1]):
        return Failure(BAD_FORMAT, quiet=quiet)
    exptime = exptime_of(words[2])
    if exptime is None:
        return Failure(b"CLIENT_ERROR invalid exptime argument\r\n", quiet=quiet)
    return Touch(words[1], exptime, quiet=quiet)


_READERS: dict[bytes, Callable[[list[bytes], int], Command]] = {
    **dict.fromkeys((b"get", b"gets", b"gat", b"gats"), _get),
    **dict.fromkeys((b"set", b"add", b"replace", b"append", b"prepend", b"cas"), _set),
    **dict.fromkeys((b"incr", b"decr"), _count),
    b"delete": _delete,
    b"touch": _touch,
}
