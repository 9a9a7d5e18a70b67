"""Figures for Prometheus over HTTP, at a unix socket or a loopback address."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from memfis.service.sockets import listen_tcp, listen_unix

PATIENCE = 5.0
"""Seconds that a client has for its request."""


class Exposition:
    """Answers GET requests with the figures of one collector."""

    def __init__(
        self, collector: Collector, before: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Ask `collector` at every request, after `before`, which may wait for what it needs."""
        self._before = before
        self._registry = CollectorRegistry()
        self._registry.register(collector)

    async def listen(self, path: str | None, host: str, port: int, stack: AsyncExitStack) -> None:
        """Serve at the unix socket `path`, or at `host` and `port`, until `stack` ends.

        Raises UsageError.
        """
        if path is None:
            server = await listen_tcp(host, port, self.serve)
        else:
            server = await listen_unix(Path(path), 0o660, self.serve)
            stack.callback(Path(path).unlink, missing_ok=True)
        stack.callback(server.close)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client, one request."""
        try:
            async with asyncio.timeout(PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                status, body = await self._answer(head)
                writer.write(
                    b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n"
                    b"Connection: close\r\n\r\n%b"
                    % (status, CONTENT_TYPE_LATEST.encode(), len(body), body)
                )
                await writer.drain()
        except (OSError, EOFError, asyncio.LimitOverrunError):
            return  # slow, gone, or no HTTP
        finally:
            writer.close()

    async def _answer(self, head: bytes) -> tuple[bytes, bytes]:
        if not head.startswith(b"GET "):
            return b"405 Method Not Allowed", b""
        if head.split(b" ")[1].partition(b"?")[0] not in (b"/", b"/metrics"):
            return b"404 Not Found", b""
        if self._before is not None:
            await self._before()
        return b"200 OK", generate_latest(self._registry)
