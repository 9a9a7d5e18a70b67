"""What one client is sent: small answers together, large ones in pieces as it reads them."""

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable

from memfis.gateway.answers import Answer, LargeAnswer
from memfis.gateway.figures import Figures
from memfis.gateway.turns import Turns

PIECE = 128 * 1024
"""Bytes that are handed to the transport at once: asyncio's own copy what is not taken at once."""

LONG_PIECE = 1024 * 1024
"""The same of uvloop's transports, which do not copy, while nobody else waits for a turn."""

STALLED = 1.0
"""Seconds without a byte that a client may take at least, while others wait for what it has."""

SLOW = 128 * 1024
"""Bytes a second of a client that is slow, but does go on.

What comes between, such as nginx and TCP's buffers, takes a megabyte at once and then nothing for
seconds: so each byte read is worth as long as it takes at this rate.
"""

LONGEST = 15.0
"""Seconds without a byte that this may come to."""


class Sender:
    """Writes answers in order, and waits while the client does not read."""

    def __init__(
        self,
        transport: asyncio.Transport,
        turns: Turns,
        figures: Figures,
        clock: Callable[[], float],
    ) -> None:
        """Write to `transport`; `turns` tells when a piece of something large may be sent."""
        self._turns = turns
        self._keeps = type(transport).__module__.startswith("uvloop")
        self._transport, self._figures, self._clock = transport, figures, clock
        self._small: list[bytes] = []
        self._held = 0
        self._drained: asyncio.Future[None] | None = None
        self.full = False
        """Whether the client has not yet read what it was sent before."""
        self._written = 0
        self._read = 0
        """Bytes of those written that the client is known to have read."""
        self.progress = clock()
        """When the client was last seen to read."""
        self.patience = self.progress + STALLED
        """The time until which others wait for what the client has to read, and it is not closed.

        Unless it reads on until then: `look` tells.
        """
        transport.set_write_buffer_limits(high=0)  # so it tells of anything that was not taken

    def pause(self) -> None:
        """Note that the client does not read."""
        if self._drained is None:
            self._drained = asyncio.get_running_loop().create_future()
            self.full = True
            self.progress = self._clock()
            self.patience = max(self.patience, self.progress + STALLED)

    def resume(self) -> None:
        """Note that the client has read, or is gone."""
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None
            self.full = False
            self.progress = self._clock()

    def look(self) -> None:
        """See whether the client has read on, or has nothing to read."""
        now = self._clock()
        unread = self._transport.get_write_buffer_size()
        if unread and not self._transport.is_closing():
            unread += _queued(self._transport.get_extra_info("socket").fileno())
        read = self._written - unread - self._read
        if read > 0:
            self._read += read
            longer = max(self.patience, now + STALLED) + read / SLOW
            self.patience = min(longer, now + LONGEST)
        if read > 0 or not unread:
            self.progress = now
            self.patience = max(self.patience, now + STALLED)

    def write(self, data: bytes) -> None:
        """Send something small that need not wait."""
        size = len(data)
        self._written += size
        self._figures.bytes_written += size
        self._transport.write(data)

    def keep(self, answer: Answer) -> bool:
        """Keep a small answer, to be sent together with others; return whether that is possible."""
        if not isinstance(answer, bytes) or self._held >= PIECE:
            return False
        self._small.append(answer)
        self._held += len(answer)
        return True

    async def add(self, answer: Answer) -> None:
        """Send an answer, together with small ones before and after it."""
        if not self.keep(answer):
            await self.flush()
            if isinstance(answer, LargeAnswer):
                await self._pieces(answer)
            else:
                self.keep(answer)

    async def flush(self) -> None:
        """Send what was added, and wait until the client has taken all of it."""
        if self._small:
            data = self._small[0] if len(self._small) == 1 else b"".join(self._small)
            self._small.clear()
            self._held = 0
            if not self._transport.is_closing():
                self.write(data)
        await self._room()

    async def _pieces(self, answer: LargeAnswer) -> None:
        value = memoryview(answer.value)
        parts: list[bytes | memoryview] = [answer.head]
        while value:
            long = self._keeps and not self._turns.wanted
            await self._turns.next()
            if self._transport.is_closing():
                return
            piece = value[: LONG_PIECE if long else PIECE]
            parts.append(piece)
            value = value[len(piece) :]
            if not value:
                parts.append(answer.tail)
            size = sum(map(len, parts))
            self._written += size
            self._figures.bytes_written += size
            self._transport.writelines(parts)
            parts = []
            await self._room()

    async def _room(self) -> None:
        if self._drained is not None:
            await self._drained


def _queued(descriptor: int) -> int:
    """Return how many bytes the kernel holds that the other side has not read (unix(7), tcp(7))."""
    answer = bytearray(4)
    fcntl.ioctl(descriptor, termios.TIOCOUTQ, answer)
    return int(struct.unpack("i", answer)[0])
