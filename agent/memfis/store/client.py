"""The store as the rest of memfis sees it: single items by pymemcache, many by `wire`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple, ParamSpec, Self, TypeVar

from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheError, MemcacheUnexpectedCloseError

from memfis.errors import StoreError, StoreRefusedError
from memfis.settings.addresses import StoreAddress
from memfis.settings.gateway import NAME
from memfis.settings.values import Site
from memfis.store.connection import unreachable
from memfis.store.exchange import Answer, Request, exchange, written
from memfis.store.told import Teller
from memfis.store.visits import Visit, visits
from memfis.store.wire import Expected, Item, ItemState, Wire, check_key, expiry

TIMEOUT = 5.0
"""Seconds to wait for an answer. Visitors never wait for it: nginx has timeouts of its own."""

GET_WINDOW = 100
"""Values asked for in one command."""

FORGET_WINDOW = 7
"""Keys in one `forget`: a line of a command that reads nothing has 2,048 bytes at most."""

P = ParamSpec("P")
T = TypeVar("T")


class Value(NamedTuple):
    """An item's bytes and its client flags."""

    value: bytes
    flags: int


class GatewayStatistics(NamedTuple):
    """What `memfis gateway` tells besides; counters since its start."""

    breaker_open: bool
    """Couchbase is away, and nobody waits for it."""
    breaker_opened: int
    errors: int
    """Answers SERVER_ERROR."""


class StoreStatistics(NamedTuple):
    """The figures of `stats` that say how a store is doing; counters since its start."""

    version: str
    uptime: int
    items: int
    bytes: int
    limit: int
    item_limit: int
    hits: int
    misses: int
    evictions: int
    evictions_allowed: bool
    gateway: GatewayStatistics | None
    """None: the store is a memcached."""


def _gateway(figures: Mapping[bytes, Any]) -> GatewayStatistics:
    return GatewayStatistics(
        breaker_open=figures[b"breaker"] == b"open",
        breaker_opened=int(figures[b"breaker_opened"]),
        errors=sum(int(figures[name]) for name in figures if name.startswith(b"errors_")),
    )


class _Plain:
    """Bytes in, bytes and client flags out: what nginx reads must be what was written."""

    def serialize(self, key: bytes, value: bytes) -> tuple[bytes, int]:
        return value, 0

    def deserialize(self, key: bytes, value: bytes, flags: int) -> Value:
        return Value(value, flags)


class Store:
    """A memcached-protocol store. Every call raises StoreError when it cannot be asked.

    Before a call that may have changed pages or heads returns, or raises, nginx was told of them,
    unless `telling_together` puts it off.
    """

    def __init__(
        self, address: StoreAddress, timeout: float = TIMEOUT, first_level: str | None = None
    ) -> None:
        """Remember `address`; connect at the first call. `timeout` in seconds, for each answer.

        `first_level`: path of the socket at which nginx is told; None: it keeps nothing itself.
        """
        self.address = address
        self._timeout, self._first_level = timeout, first_level
        self._teller = Teller(first_level) if first_level else None
        self._wire = Wire(address, timeout)
        self._client = Client(
            address.path or (address.host, address.port),
            serde=_Plain(),
            connect_timeout=timeout,
            timeout=timeout,
            no_delay=True,
            default_noreply=False,
        )

    @classmethod
    def of(cls, site: Site, timeout: float = TIMEOUT) -> Self:
        """Return the store of `site`."""
        return cls(StoreAddress.parse(site.store), timeout, site.first_level)

    def anew(self) -> "Store":
        """Return the same store with connections of its own: for another process, or thread."""
        return Store(self.address, self._timeout, self._first_level)

    def telling_together(self) -> AbstractContextManager[None]:
        """Return what puts off the telling of nginx, to its end or for a moment."""
        return nullcontext() if self._teller is None else self._teller.together()

    def get(self, key: bytes) -> Value | None:
        """Return the item at `key`, or None.

        By `gets`: a `get` of one key is a visitor's to a gateway, which has him wait for less.
        """
        return self.gets(key)[0]

    def gets(self, key: bytes) -> tuple[Value | None, bytes | None]:
        """Return the item at `key` and its CAS token, or None twice."""
        found: tuple[Value | None, bytes | None] = self._ask(self._client.gets, check_key(key))
        return found

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Value]:
        """Return those of `keys` that are in the store."""
        found: dict[bytes, Value] = {}
        for start in range(0, len(keys), GET_WINDOW):
            window = [check_key(key) for key in keys[start : start + GET_WINDOW]]
            if len(window) > 1:
                found |= self._ask(self._client.get_many, window)
            elif (value := self.get(window[0])) is not None:
                found[window[0]] = value
        return found

    def set(self, key: bytes, value: bytes, flags: int = 0, ttl: int = 0) -> None:
        """Write one item; raises StoreRefusedError when the store has no room for it."""
        with self._telling([key]):
            self._ask(self._client.set, check_key(key), value, expiry(ttl), flags=flags)

    def append(self, key: bytes, value: bytes) -> bool:
        """Append to the item; False when it is absent or would grow over the item limit."""
        with self._telling([key]):
            return bool(self._ask(self._client.append, check_key(key), value))

    def cas(self, key: bytes, value: bytes, token: bytes) -> bool:
        """Replace the item if it is still the one that `gets` gave `token` for."""
        with self._telling([key]):
            return bool(self._ask(self._client.cas, check_key(key), value, token))

    def states(self, keys: Sequence[bytes]) -> list[ItemState | None]:
        """Return the state of each of `keys`, None for what is absent, in their order."""
        return self._wire.states(keys)

    def visit_many(self, keys: Sequence[bytes]) -> list[Visit | None]:
        """Return whether each of `keys` was asked for since it was written, None if absent."""
        return visits(self._wire, keys)

    def confirm_many(self, keys: Sequence[bytes], expected: Sequence[Expected]) -> list[bool]:
        """Return whether each of `keys` has the size and flags that are `expected`, in order."""
        return self._wire.confirm(keys, expected)

    def confirm_values(
        self, keys: Sequence[bytes], expected: Sequence[tuple[bytes, int]]
    ) -> list[bool]:
        """Return whether each of `keys` has the small value and the flags that are `expected`."""
        return self._wire.confirm_values(keys, expected)

    def set_many(
        self, items: Sequence[Item], ttl: int = 0, after: Item | None = None
    ) -> list[tuple[bytes, str]]:
        """Write `items`; return the keys that the store refused, each with its reason.

        The store writes `after`, which never expires, before any of them.
        """
        with self._telling(item.key for item in items):
            return self._wire.store(items, ttl, after)

    def delete_many(self, keys: Sequence[bytes]) -> None:
        """Remove `keys`; one that is absent is no error."""
        with self._telling(keys):
            self._wire.delete(keys)

    def forget(self, keys: Sequence[bytes]) -> None:
        """Let nothing near answer what it has of `keys`, or without any of whatever there is.

        A gateway's own pages, and nginx's: somebody else has removed the items. Raises StoreError.
        """
        for key in keys:
            check_key(key)
        if self.is_gateway():
            for start in range(0, max(1, len(keys)), FORGET_WINDOW):
                window = keys[start : start + FORGET_WINDOW]
                self._wire.send(b" ".join([b"forget", *window]), b"\r\n")
                if (line := self._wire.line()) != b"OK":
                    raise self._wire.nonsense(line)
        if self._teller is not None and keys:
            self._teller.tell(keys)
        elif self._teller is not None:
            self._teller.tell_all()

    def touch_many(self, keys: Sequence[bytes], ttl: int) -> None:
        """Set the expiry of `keys` to `ttl` seconds from now."""
        self._wire.touch(keys, ttl)

    def exchange(self, *requests: Request) -> list[Answer]:
        """Return the answers to `requests` (see `memfis.store.exchange`), in one round trip."""
        with self._telling(written(requests)):
            return exchange(self._wire, requests)

    def all_keys(self) -> Iterator[bytes]:
        """Yield every key in the store, in no order."""
        return self._wire.keys()

    def statistics(self) -> StoreStatistics:
        """Return the store's own figures."""
        figures = self._ask(self._client.stats)
        settings = self._ask(self._client.stats, "settings")
        try:
            return StoreStatistics(
                version=figures[b"version"].decode("ascii", "replace"),
                uptime=int(figures[b"uptime"]),
                items=int(figures[b"curr_items"]),
                bytes=int(figures[b"bytes"]),
                limit=int(figures[b"limit_maxbytes"]),
                item_limit=int(settings[b"item_size_max"]),
                hits=int(figures[b"get_hits"]),
                misses=int(figures[b"get_misses"]),
                evictions=int(figures[b"evictions"]),
                evictions_allowed=str(settings.get(b"evictions")) not in {"off", "b'off'", "0"},
                gateway=_gateway(figures) if b"breaker" in figures else None,
            )
        except (KeyError, ValueError, AttributeError) as error:
            raise StoreError(
                f"store {self.address} sent no usable statistics: {error!r}"
            ) from error

    def is_gateway(self) -> bool:
        """Whether it is `memfis gateway`: what is written travels to Couchbase."""
        version: bytes = self._ask(self._client.version)
        return version.endswith(NAME.encode())

    def settings(self) -> dict[str, str]:
        """Return what the store tells of its settings (`stats settings`)."""
        told: dict[bytes, object] = self._ask(self._client.stats, "settings")
        return {
            name.decode("ascii", "replace"): value.decode("ascii", "replace")
            if isinstance(value, bytes)
            else str(value)
            for name, value in told.items()
        }

    def assigned(self) -> int:
        """Return how many bytes of memory are given to items of one size or another.

        Once that is all the store has, it evicts, or refuses what finds no room among items of its
        size (memcached doc/protocol.txt, `stats slabs`). 0 where the store does not tell.
        """
        told: dict[bytes, object] = self._ask(self._client.stats, "slabs")
        try:
            return int(str(told.get(b"total_malloced", 0)))
        except ValueError:
            return 0

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._client.close()
        self._wire.close()
        if self._teller is not None:
            self._teller.close()

    @contextmanager
    def _telling(self, keys: Iterable[bytes]) -> Iterator[None]:
        """Tell nginx of `keys` when it is over, however it went: some may have been changed."""
        try:
            yield
        finally:
            if self._teller is not None:
                self._teller.tell(keys)

    def _ask(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except MemcacheUnexpectedCloseError as error:
            raise StoreError(f"store {self.address} closed the connection") from error
        except MemcacheError as error:
            reason = " ".join(str(part) for part in error.args) or type(error).__name__
            raise StoreRefusedError(f"store {self.address}: {reason}") from error
        except OSError as error:
            raise unreachable(self.address, error) from error
