"""Values on their way to clients: each is counted once, however many wait for it."""

from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self

from memfis.gateway.backend import BackendError, Document
from memfis.gateway.budget import LARGE, Budget

SHARE = 4 * 1024 * 1024
"""Bytes of values that are on their way to one client at a time, unless one alone is larger."""

PART = 8
"""A client gets no more than this part of what is free: so there is always some for the next."""


class BusyError(BackendError):
    """There is no room for the value just now: too many are on their way to others."""

    kind = "busy"


class Loans:
    """What is lent of the budget: large values by their identity, small ones as a sum.

    A value that nobody has yet is claimed by its key, with the bytes that it is thought to have.
    """

    def __init__(self, limit: int) -> None:
        """Lend `limit` bytes in all."""
        self.budget = Budget(limit)
        self._claims: dict[bytes, _Count] = {}
        self._lent: dict[int, _Count] = {}
        self._latest: dict[bytes, Document] = {}

    @property
    def share(self) -> int:
        """Bytes that one client may ask for just now, unless one value alone is larger."""
        return min(SHARE, max(LARGE, self.budget.free // PART))

    def like(self, key: bytes, document: Document) -> Document:
        """Return `document`, or that which others are sent already if it is the same version."""
        latest = self._latest.get(key)
        same = latest is not None and latest.cas == document.cas
        return latest if latest is not None and same else document

    def loan(self, small: int, large: Mapping[bytes, int]) -> "Loan":
        """Return a loan that is to be taken.

        `small`: bytes of all values that are thought to be small; `large`: bytes that each of the
        others is thought to have, by key.
        """
        return Loan(self, small, large)

    def new(self, key: bytes) -> bool:
        """Whether nobody is sent the value of `key` yet, or is to be."""
        return key not in self._claims and key not in self._latest

    def lent(self, key: bytes) -> Document | None:
        """Return the large document with `key` that somebody is being sent."""
        return self._latest.get(key)

    def claim(self, key: bytes, number: int) -> None:
        """Count a claim, whose bytes were taken if it is the first one to `key`."""
        count = self._claims.get(key)
        if count is None:
            self._claims[key] = _Count(key, number)
        else:
            count.holders += 1

    def unclaim(self, key: bytes) -> None:
        """Count a claim less."""
        count = self._claims[key]
        count.holders -= 1
        if not count.holders:
            del self._claims[key]
            self.budget.give(count.number)

    def holders(self, value: int) -> int:
        """Return how many are sent the large value with that identity."""
        return self._lent[value].holders

    def hold(self, key: bytes, document: Document) -> None:
        """Count one more who is sent a large value."""
        count = self._lent.get(id(document.value))
        if count is None:
            self._lent[id(document.value)] = _Count(key, len(document.value))
            self._latest[key] = document
            self.budget.force(len(document.value))
        else:
            count.holders += 1

    def let_go(self, document: Document) -> None:
        """Count one less."""
        count = self._lent[id(document.value)]
        count.holders -= 1
        if not count.holders:
            del self._lent[id(document.value)]
            latest = self._latest.get(count.key)
            if latest is not None and latest.value is document.value:
                del self._latest[count.key]
            self.budget.give(count.number)


class _Count:
    """How many wait for a value of `number` bytes."""

    __slots__ = ("holders", "key", "number")

    def __init__(self, key: bytes, number: int) -> None:
        self.key, self.number = key, number
        self.holders = 1


class Loan:
    """What one client has of the budget: at first claims, then values, until they are sent."""

    def __init__(self, loans: Loans, small: int, large: Mapping[bytes, int]) -> None:
        self._loans = loans
        self._small_wanted, self._wanted = small, large
        self._claims: list[bytes] = []
        self._small = 0
        self._held: list[Document] = []

    async def take(self, patience: float) -> None:
        """Take what is wanted as soon as it is free, for `patience` seconds; raises BusyError."""
        number = self._small_wanted + sum(self._wanted.values())
        if not await self._loans.budget.wait(self._claim, number, patience):
            raise BusyError("out of memory: too much is on its way to others")

    def _claim(self) -> bool:
        """Take the bytes, but for values that others have claimed already, if they are free."""
        loans = self._loans
        more = sum(size for key, size in self._wanted.items() if loans.new(key))
        if not loans.budget.take_before_others(self._small_wanted + more):
            return False
        self._small = self._small_wanted
        for key, size in self._wanted.items():
            document = loans.lent(key)
            if document is not None:
                self._hold(key, document)  # so that it is still there when it is asked for
            else:
                self._claims.append(key)
                loans.claim(key, size)
        return True

    def came(self, found: Iterable[tuple[bytes, Document]], small: int = 0) -> None:
        """Count the values that came instead of what was claimed.

        `small`: bytes of others, all of them small.
        """
        for key, document in found:
            if len(document.value) > LARGE:
                self._hold(key, document)
            else:
                small += len(document.value)
        self._loans.budget.force(small)
        self._unclaim()
        self._small = small

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.give_back()

    @property
    def values(self) -> Iterator[int]:
        """Yield the identities of the large values that are sent, one for each time it has it."""
        return (id(document.value) for document in self._held)

    def frees(self, stalled: Mapping[int, int]) -> bool:
        """Whether bytes come free when those who are `stalled` give back what they have.

        `stalled`: how often they have each of `values`.
        """
        if self._small or self._claims:
            return True
        return any(self._loans.holders(value) == stalled[value] for value in self.values)

    def give_back(self) -> None:
        """Give back all of it: the client has everything, or is gone."""
        self._unclaim()
        held, self._held = self._held, []
        for document in held:
            self._loans.let_go(document)

    def _hold(self, key: bytes, document: Document) -> None:
        self._loans.hold(key, document)
        self._held.append(document)

    def _unclaim(self) -> None:
        claims, self._claims = self._claims, []
        for key in claims:
            self._loans.unclaim(key)
        small, self._small = self._small, 0
        self._loans.budget.give(small)
