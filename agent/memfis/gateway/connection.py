"""One client's connection: its commands in, their answers out, in order."""

import asyncio
import inspect
import logging
import socket
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, cast

from memfis.gateway.answers import Answer
from memfis.gateway.backend import BackendError, Document
from memfis.gateway.budget import LARGE
from memfis.gateway.commands import Command, Failure, Stream
from memfis.gateway.hot import HotItem
from memfis.gateway.items import Items
from memfis.gateway.loans import BusyError, Loan
from memfis.gateway.parser import GROUP, Parser, Quit
from memfis.gateway.sending import STALLED, Sender
from memfis.gateway.turns import Turns

FREE = 16 * 1024
"""Bytes that every client may have in the buffers."""

AT_ONCE = 256 * 1024
"""Bytes read at once."""

MORE = 4 * 1024 * 1024
"""Bytes that a client may have in the buffers while there are enough: a window of the agent."""

MUCH = 1024
"""Bytes of commands that are more than one or a few: they wait for their turn."""

ROOMY = 1000
"""Clients whose sockets keep the kernel's usual buffer: 208 KiB (net.core.wmem_default)."""

SOCKET_BUFFER = 16 * 1024
"""Bytes of the buffers of others' sockets, which the kernel doubles (socket(7), SO_SNDBUF).

What a client does not read lies in there, and counts for the limit of memory of the service.
"""

FEW = 32
"""Commands of a new client that are underway together; of large values they stay so few."""

_FULL = b"ERROR Too many open connections\r\n"
_NOT_STORED = b"SERVER_ERROR out of memory storing object\r\n"
_NOT_READ = b"SERVER_ERROR out of memory reading request\r\n"

log = logging.getLogger("memfis.gateway")


class Shared:
    """What all connections share."""

    def __init__(self, items: Items) -> None:
        self.items = items
        self.open: set[Connection] = set()
        self.scratch = memoryview(bytearray(AT_ONCE))
        """Where bytes are read into, before they are copied to whom they belong."""
        self.turns = Turns()
        self.draining = False
        """Whether each is closed as soon as its commands are answered."""


class Connection(asyncio.BufferedProtocol):
    """Reads commands, has them done by `Items`, and writes their answers."""

    def __init__(self, all_: Shared) -> None:
        self._all, self._items = all_, all_.items
        self._outgoing = all_.items.loans.budget
        self._transport: asyncio.Transport
        self._out: Sender
        settings = self._items.settings
        self._parser = Parser(
            settings.max_item,
            self._items.figures.commands,
            read_only=settings.read_only,
            boxes=settings.boxes,
        )
        self._allowed = 0
        """Bytes taken of the budget for what is kept of this client's commands."""
        self._being_done = 0
        """Bytes of the values that are being written."""
        self._owed = 0
        """Bytes of an answer that was sent at once and not read at once."""
        self.loan: Loan | None = None
        """What it has of the bytes that clients may be sent."""
        self._together = FEW
        """Commands that are underway together, if there are as many."""
        self._task: asyncio.Task[None] | None = None
        self._paused = False
        self._leaving = False
        self._received = self._items.clock()
        """When the client last sent something."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many."""
        self._transport = cast(asyncio.Transport, transport)
        figures = self._items.figures
        self._out = Sender(self._transport, self._all.turns, figures, self._items.clock)
        if len(self._all.open) >= self._items.settings.max_connections:
            figures.rejected_connections += 1
            self._transport.write(_FULL)
            self._transport.close()
            return
        if len(self._all.open) >= ROOMY:
            ours: socket.socket = transport.get_extra_info("socket")
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        self._all.open.add(self)
        figures.connections += 1
        figures.total_connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that nobody is there any more; what is underway ends, and is not sent."""
        if self in self._all.open:
            self._all.open.remove(self)
            self._items.figures.connections -= 1
        self.resume_writing()
        if self._task is None:
            self._give_back()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to read into: no more than this client may have."""
        room = FREE + self._allowed - len(self._parser) - self._being_done
        return self._all.scratch[: max(1, min(room, AT_ONCE))]

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read; most often it is one `get` of a page in the hot cache."""
        data = self._all.scratch[:nbytes]
        items = self._items
        items.figures.bytes_read += nbytes
        if self._task is None and not self._out.full and self._parser.untouched:
            line = bytes(data)
            if line.startswith(b"get ") and line.endswith(b"\r\n"):
                outgoing = self._outgoing
                most = LARGE if outgoing.used < outgoing.tight else FREE
                entry = items.reads.quick(line[4:-2], most)
                if entry is not None:
                    items.figures.commands["get"] += 1
                    self._out.write(entry.answer)  # type: ignore[arg-type]  # it is small
                    if self._out.full and entry.size > FREE:
                        self._owed = entry.size
                        outgoing.force(entry.size)
                    return
        self._received = items.clock()
        self._parser.feed(data)
        if len(self._parser) >= FREE and not self._allowed and items.incoming.try_take(MORE):
            self._allowed = MORE  # it sends many: let them be done many at a time
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())
        elif self._room() <= 0:
            self._pause()

    def eof_received(self) -> bool:
        """Answer what was sent before the client stopped sending, then close."""
        self.leave()
        return True

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        self._out.pause()

    def resume_writing(self) -> None:
        """Go on: the client read."""
        self._out.resume()
        if self._owed:
            self._outgoing.give(self._owed)
            self._owed = 0

    def leave(self) -> None:
        """Close the connection as soon as nothing is underway."""
        if self._task is None:
            self._transport.close()
        else:
            self._leaving = True

    def hung_since(self) -> float:
        """Return since when the client should have gone on with what it sends or reads.

        That is now, if it should not.
        """
        self._out.look()
        return min(self._sent, self._out.progress)

    def keeps_others_waiting(self) -> bool:
        """Return whether the client has had its time for the bytes that it has."""
        now = self._items.clock()
        if now < self._out.patience and now < self._sent + STALLED:
            return False
        self._out.look()
        return now >= self._out.patience or now >= self._sent + STALLED

    @property
    def _sent(self) -> float:
        """When the client last sent something, now if it need not."""
        if self._task is not None or self._parser.untouched:
            return self._items.clock()
        return self._received

    @property
    def holds(self) -> bool:
        """Whether this client has bytes that others may be waiting for."""
        return bool(self._allowed or self._owed or self.loan)

    def frees(self, stalled: Mapping[int, int]) -> bool:
        """Whether bytes come free without this client; `stalled` as `Loan.frees` wants it."""
        return bool(self._allowed or self._owed or (self.loan and self.loan.frees(stalled)))

    def cut_off(self) -> None:
        """Close the connection: its client does not go on."""
        self._items.figures.slow_clients += 1
        self._transport.abort()
        if self.loan is not None:
            self.loan.give_back()

    def _room(self) -> int:
        """Return how many more bytes may be kept of what the client sends."""
        return FREE + self._allowed - len(self._parser) - self._being_done

    async def _work(self) -> None:
        """Do commands until there is no whole one any more."""
        try:
            while not self._transport.is_closing():
                if len(self._parser) > MUCH:
                    await self._all.turns.next(self._together // FEW)
                group = self._parser.group(self._together)
                if group:
                    await self._do(group)
                    continue
                if await self._make_room():
                    continue
                break
        except Quit:
            self._transport.close()
        except Exception:
            log.exception("a connection is closed because of a mistake in the gateway")
            self._transport.abort()
        finally:
            self._task = None
            if self._transport.is_closing():
                self._give_back()
            elif self._leaving or self._all.draining:
                self._transport.close()
            else:
                if len(self._parser) <= FREE and not self._parser.wanted:
                    self._give_back()
                self._resume()

    async def _make_room(self) -> bool:
        """Get room for what is to come, as far as it is needed; return whether to go on."""
        kept = len(self._parser)
        needed = max(self._parser.wanted, kept + 1) - FREE - self._allowed
        if needed > 0:
            more = max(needed, MORE - self._allowed)
            if self._items.incoming.try_take(more):
                self._allowed += more
                return len(self._parser) != kept
            self._pause()
            if not await self._items.incoming.take(needed, self._items.settings.timeout):
                self._refuse()
                return True
            self._allowed += needed
        return len(self._parser) != kept

    def _refuse(self) -> None:
        """Refuse the value that there is no room for; raises Quit if it is something else."""
        self._items.figures.errors[BusyError.kind] += 1
        if not self._parser.wanted:
            self._out.write(_NOT_READ)
            raise Quit
        self._parser.refuse(_NOT_STORED)

    def _give_back(self) -> None:
        self._items.incoming.give(self._allowed)
        self._allowed = 0

    async def _do(self, group: Sequence[Command]) -> None:
        first = group[0]
        if isinstance(first, Stream):
            await self._stream(first)
        elif first.lane == "read":
            parts = 0
            for some, loan in self._shares(group):
                await self._read(some, loan)
                parts += 1
                if self._transport.is_closing():
                    return
            self._together = min(2 * self._together, GROUP) if parts == 1 else FEW
        else:
            self._being_done = sum(len(command.value) for command in group)
            await self._answer(group, await self._results(group))
            self._being_done = 0
            self._together = min(2 * self._together, GROUP)
            self._resume()

    def _shares(self, group: Sequence[Command]) -> Iterator[tuple[Sequence[Command], Loan]]:
        """Yield reads, as many at a time as one client may have on their way, and their loan."""
        items = self._items
        start = 0
        while start < len(group):
            share, total, end = items.loans.share, 0, start
            small, large = 0, dict[bytes, int]()
            for command in group[start:]:
                size = command.size(items)
                if end > start and total + size > share:
                    break
                total += size
                end += 1
                if size > LARGE:
                    large[command.key] = size
                else:
                    small += size
            yield group[start:end], items.loans.loan(small, large)
            start = end

    async def _read(self, group: Sequence[Command], loan: Loan) -> None:
        try:
            await loan.take(self._items.settings.timeout)
        except BusyError as error:
            await self._answer(group, [error] * len(group))
            return
        self.loan = loan
        try:
            results = await self._results(group)
            loan.came(*_values(group, results))
            await self._answer(group, results)
        finally:
            self.loan = None
            loan.give_back()

    async def _results(self, group: Sequence[Command]) -> list[Any]:
        """Have commands done together; return a result or a BackendError for each, in order."""
        underway = [self._begin(command, alone=len(group) == 1) for command in group]
        results: list[Any] = []
        for result in underway:
            if isinstance(result, HotItem):
                results.append(result)
            elif isinstance(result, asyncio.Future):
                if not result.done():
                    await asyncio.wait((result,))
                results.append(await _outcome(result))
            else:
                results.append(await _outcome(result) if inspect.iscoroutine(result) else result)
        return results

    def _begin(self, command: Command, *, alone: bool) -> Any:
        try:
            result = command.begin(self._items)
        except BackendError as error:
            return error
        if inspect.iscoroutine(result) and not alone:
            return asyncio.ensure_future(result)
        return result

    async def _answer(self, group: Sequence[Command], results: Sequence[Any]) -> None:
        for command, result in zip(group, results, strict=True):
            answer = self._answer_to(command, result)
            if answer and not command.quiet and not self._out.keep(answer):
                await self._out.add(answer)
                if self._transport.is_closing():
                    return
            if isinstance(command, Failure) and command.ends:
                await self._out.flush()
                raise Quit
        await self._out.flush()

    def _answer_to(self, command: Command, result: Any) -> Answer:
        try:
            if isinstance(result, BackendError):
                return command.failed(self._items, result)
            return command.answer(self._items, result)
        except BackendError as error:
            return command.failed(self._items, error)

    async def _stream(self, command: Stream) -> None:
        try:
            async with aclosing(command.parts(self._items)) as parts:
                async for part in parts:
                    await self._out.add(part)
                    if self._transport.is_closing():
                        return
        except BackendError as error:
            await self._out.add(command.failed(self._items, error))
        await self._out.flush()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()


async def _outcome(underway: Awaitable[Any]) -> Any:
    try:
        return await underway
    except BackendError as error:
        return error


def _values(
    group: Sequence[Command], results: Sequence[Any]
) -> tuple[list[tuple[bytes, Document]], int]:
    """Return the documents that are read, and the bytes of small values from the hot cache."""
    found: list[tuple[bytes, Document]] = []
    small = 0
    for command, result in zip(group, results, strict=True):
        if isinstance(result, Document):
            found.append((command.key, result))
        elif isinstance(result, HotItem):
            if result.large is not None:
                found.append((command.key, result.large))
            else:
                small += result.size
    return found, small
