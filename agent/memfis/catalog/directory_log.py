"""The log of one directory in the store: read, added to, made, made anew, compacted, removed.

Whoever writes records writes them here: a sync and its processes, the renderer, and mounts. They
may do so at the same time, over connections of their own, so nothing is replaced that was not read:
a log is made only where there is none, appended to, or replaced by its CAS value.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from memfis.errors import StoreRefusedError
from memfis.layout.records import Entry, Log, decode_log, encode_log, encode_records
from memfis.store.exchange import Answer, Request, append, fetch, put, remove, state

ATTEMPTS = 100
"""How often others may come between the reading of a log and the writing of it."""


class Exchange(Protocol):
    """What a log is in: a store, or what a filesystem makes of one."""

    def exchange(self, *requests: Request) -> list[Answer]:
        """Return the answers to `requests`, in one round trip; raises what it raises."""


class Version(NamedTuple):
    """Tells one state of a log from another."""

    cas: int
    size: int
    """Bytes: a store that began anew may give the same CAS value again."""


class Recorded(NamedTuple):
    """What the store has for a directory."""

    log: Log | None
    """None: absent or damaged."""
    version: Version | None
    """None: absent."""

    @property
    def entries(self) -> dict[str, Entry]:
        """What is recorded, by name; nothing where the log is absent or damaged."""
        return self.log.entries if self.log else {}


class Compacted(NamedTuple):
    """A log that was compacted, or needed no compaction."""

    before: Version
    after: Version
    records: int
    """How many it has now."""


class DirectoryLog:
    """The log at one key. Raises StoreRefusedError where the store has no room for it."""

    __slots__ = ("_key", "_store")

    def __init__(self, store: Exchange, key: bytes) -> None:
        """Read and write the directory item at `key` in `store`."""
        self._store = store
        self._key = key

    def read(self) -> Recorded:
        """Return what is recorded."""
        answer = self._ask(fetch(self._key))
        if not answer.done:
            return Recorded(None, None)
        return Recorded(decode_log(answer.value), Version(answer.cas, len(answer.value)))

    def version(self) -> Version | None:
        """Return which state it is in, without reading it; None: absent."""
        answer = self._ask(state(self._key))
        return Version(answer.cas, answer.size) if answer.done else None

    def appending(self, records: Iterable[Entry], *, cas: int = 0) -> Request:
        """Return the request that appends `records`, to be sent together with others.

        With `cas`, only to the log with that CAS value: EX where it has another one. The store
        answers NS (not stored) both where there is no log and where it would grow over
        the item limit, and may have let the log go where it refuses one for want of memory.
        """
        return append(self._key, encode_records(records), cas=cas)

    def append(self, records: Iterable[Entry], *, to: Version | None = None) -> Answer:
        """Append `records`, with `to` only to the log in that state.

        Not done: there is no log, or no room for more in it (see `appending`), or it is in another
        state.
        """
        cas = to.cas if to else 0
        return self._ask(append(self._key, encode_records(records), cas=cas))

    def make(self, entries: Iterable[Entry] = ()) -> bool:
        """Make a log that holds `entries`; False where there is one, which stays as it is."""
        return self._put(encode_log(entries), new=True).done

    def make_anew(self, entries: dict[str, Entry]) -> None:
        """Make the log hold `entries`, by name, and what was rendered there meanwhile.

        `entries` were read before: what others have rendered since is added to them.
        """
        new, cas = True, 0
        for _ in range(ATTEMPTS):
            if self._put(encode_log(entries.values()), cas=cas, new=new).done:
                return
            there = self.read()
            new, cas = not there.version, there.version.cas if there.version else 0
            for entry in there.entries.values():
                if entry.origin == "rendered":
                    entries.setdefault(entry.name, entry)
        raise StoreRefusedError("they change all the time")

    def empty(self) -> bool:
        """Make the log hold nothing; False: somebody else wrote meanwhile, or there is no room."""
        version = self.version()
        cas = version.cas if version else 0
        return self._ask(put(self._key, encode_log(()), cas=cas, new=version is None)).done

    def compact(self) -> Compacted | None:
        """Write the log without what is overtaken, if there is anything.

        None: it is absent or damaged, or somebody else wrote meanwhile, who keeps the longer log.
        """
        log, version = self.read()
        if log is None or version is None:
            return None
        if log.records == len(log.entries):
            return Compacted(version, version, log.records)
        data = encode_log(log.entries.values())
        written = self._ask(put(self._key, data, cas=version.cas))
        if written.refusal:  # no room for two at once, and the longer one has gone
            written = self._put(data, new=True)
        if not written.done:
            return None
        return Compacted(version, Version(written.cas, len(data)), len(log.entries))

    def remove(self, version: Version | None = None) -> bool:
        """Remove the log; False where it is no more in the state `version`."""
        return self._ask(remove(self._key, version.cas if version else 0)).status != b"EX"

    def _put(self, data: bytes, *, cas: int = 0, new: bool = False) -> Answer:
        answer = self._ask(put(self._key, data, cas=cas, new=new))
        if answer.refusal:
            raise StoreRefusedError(answer.refusal)
        return answer

    def _ask(self, request: Request) -> Answer:
        [answer] = self._store.exchange(request)
        return answer
