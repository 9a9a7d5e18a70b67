"""One client's connection: its commands in, their answers out, in order."""

import asyncio
import inspect
import logging
from collections.abc import Sequence
from typing import Any, cast

from memfis.gateway.backend import BackendError
from memfis.gateway.budget import Budget
from memfis.gateway.commands import Command, Failure, Stream
from memfis.gateway.items import Items
from memfis.gateway.parser import Parser, Quit

FREE = 16 * 1024
"""Bytes that every client may have in the buffers."""

AT_ONCE = 256 * 1024
"""Bytes read at once."""

MORE = 4 * 1024 * 1024
"""Bytes that a client may have in the buffers while there are enough: a window of the agent."""

_FULL = b"ERROR Too many open connections\r\n"

log = logging.getLogger("memfis.gateway")


class Connections:
    """All clients, and what they share."""

    def __init__(self, items: Items) -> None:
        self.items = items
        self.open: set[Connection] = set()
        half = items.settings.buffer_bytes // 2
        self.incoming = Budget(half)
        """For what clients send: however many hang there, pages are still answered."""
        self.outgoing = Budget(half)
        """For what they are sent."""
        self.scratch = memoryview(bytearray(AT_ONCE))
        """Where bytes are read into, before they are copied to whom they belong."""
        self.draining = False

    def new(self) -> "Connection":
        """Return what serves one more client."""
        return Connection(self)

    def close_hung(self) -> None:
        """Close connections whose clients did not go on for `client_timeout`."""
        limit = self.items.clock() - self.items.settings.client_timeout
        for connection in list(self.open):
            connection.close_if_hung(limit)

    def drain(self) -> None:
        """Close each connection as soon as its commands are answered."""
        self.draining = True
        for connection in list(self.open):
            connection.leave()


class Connection(asyncio.BufferedProtocol):
    """Reads commands, has them done by `Items`, and writes their answers."""

    def __init__(self, all_: Connections) -> None:
        self._all, self._items = all_, all_.items
        self._transport: asyncio.Transport
        settings = self._items.settings
        self._parser = Parser(
            settings.max_item,
            self._items.figures.commands,
            read_only=settings.read_only,
            boxes=settings.boxes,
        )
        self._allowed = 0
        """Bytes taken of the budget for what is kept of this client's commands."""
        self._task: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._paused = False
        self._leaving = False
        self._progress = self._items.clock()
        self._unsent = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many."""
        self._transport = cast(asyncio.Transport, transport)
        figures = self._items.figures
        if len(self._all.open) >= self._items.settings.max_connections:
            figures.rejected_connections += 1
            self._transport.write(_FULL)
            self._transport.close()
            return
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
        room = FREE + self._allowed - len(self._parser)
        return self._all.scratch[: max(1, min(room, AT_ONCE))]

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read; most often it is one `get` of a page in the hot cache."""
        data = self._all.scratch[:nbytes]
        items = self._items
        items.figures.bytes_read += nbytes
        if self._task is None and self._drained is None and self._parser.untouched:
            line = bytes(data)
            if line.startswith(b"get ") and line.endswith(b"\r\n"):
                entry = items.reads.quick(line[4:-2])
                if entry is not None:
                    items.figures.commands["get"] += 1
                    self._send(entry.answer)
                    return
        self._progress = items.clock()
        self._parser.feed(data)
        if len(self._parser) >= FREE and not self._allowed and self._all.incoming.try_take(MORE):
            self._allowed = MORE  # it sends many: let them be done many at a time
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())
        elif len(self._parser) >= FREE + self._allowed:
            self._pause()

    def eof_received(self) -> bool:
        """Answer what was sent before the client stopped sending, then close."""
        self.leave()
        return True

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        if self._drained is None:
            self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Go on: the client read."""
        if self._drained is not None:
            if not self._drained.done():
                self._drained.set_result(None)
            self._drained = None

    def leave(self) -> None:
        """Close the connection as soon as nothing is underway."""
        if self._task is None:
            self._transport.close()
        else:
            self._leaving = True

    def close_if_hung(self, limit: float) -> None:
        """Close the connection if its client should have gone on since `limit`."""
        if self._task is None and self._parser.untouched:
            self._give_back()
        unsent = self._transport.get_write_buffer_size()
        if unsent != self._unsent or (not unsent and (self._task or self._parser.untouched)):
            self._unsent = unsent
            self._progress = self._items.clock()
        elif self._progress < limit:
            self._items.figures.slow_clients += 1
            self._transport.abort()

    def _send(self, data: bytes) -> None:
        self._items.figures.bytes_written += len(data)
        self._transport.write(data)

    async def _work(self) -> None:
        """Do commands until there is no whole one any more."""
        try:
            while not self._transport.is_closing():
                group = self._parser.group()
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
                self._resume()

    async def _make_room(self) -> bool:
        """Get room for what is to come, as far as it is needed; return whether more came."""
        kept = len(self._parser)
        wanted = max(self._parser.wanted, kept + 1)
        if wanted > FREE + self._allowed:
            more = max(wanted - FREE, MORE) - self._allowed
            if self._all.incoming.try_take(more):
                self._allowed += more
            else:
                self._pause()
                needed = wanted - FREE - self._allowed
                self._allowed += await self._all.incoming.take(needed)
        return len(self._parser) != kept

    def _give_back(self) -> None:
        self._all.incoming.give(self._allowed)
        self._allowed = 0

    async def _do(self, group: Sequence[Command]) -> None:
        taken = 0
        if group[0].lane == "read":
            taken = sum(self._items.seen.size(command.key) for command in group)
            taken = await self._all.outgoing.take(taken)
        try:
            if isinstance(group[0], Stream):
                await self._stream(group[0])
            else:
                await self._together(group)
            if self._drained is not None:
                await self._drained
        finally:
            self._all.outgoing.give(taken)

    async def _together(self, group: Sequence[Command]) -> None:
        underway = [self._begin(command, alone=len(group) == 1) for command in group]
        answers = []
        for command, result in zip(group, underway, strict=True):
            if isinstance(result, asyncio.Future):
                if not result.done():
                    await asyncio.wait((result,))
                answer = self._outcome(command, result)
            else:
                answer = await self._answer(command, result)
            if answer and not command.quiet:
                answers.append(answer)
            if isinstance(command, Failure) and command.ends:
                self._send(b"".join(answers))
                raise Quit
        if answers:
            self._send(answers[0] if len(answers) == 1 else b"".join(answers))

    def _begin(self, command: Command, *, alone: bool) -> Any:
        try:
            result = command.begin(self._items)
        except BackendError as error:
            return error
        if inspect.iscoroutine(result) and not alone:
            return asyncio.ensure_future(result)
        return result

    def _outcome(self, command: Command, done: "asyncio.Future[Any]") -> bytes:
        try:
            return command.answer(self._items, done.result())
        except BackendError as error:
            return command.failed(self._items, error)

    async def _answer(self, command: Command, result: Any) -> bytes:
        try:
            if inspect.iscoroutine(result):
                result = await result
            if isinstance(result, BackendError):
                return command.failed(self._items, result)
            return command.answer(self._items, result)
        except BackendError as error:
            return command.failed(self._items, error)

    async def _stream(self, command: Stream) -> None:
        try:
            async for part in command.parts(self._items):
                self._send(part)
                if self._drained is not None:
                    await self._drained
                if self._transport.is_closing():
                    return
        except BackendError as error:
            self._send(command.failed(self._items, error))

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
