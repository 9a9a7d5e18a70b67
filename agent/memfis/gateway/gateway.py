"""The gateway's life: listen, serve, probe the database, drain, stop."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Sequence
from functools import partial

from memfis.gateway.backend import Backend
from memfis.gateway.connections import Connections
from memfis.gateway.figures import Figures
from memfis.gateway.items import Items
from memfis.gateway.listeners import accept
from memfis.gateway.metrics import Collected
from memfis.service.exposition import Exposition
from memfis.service.listening import Listeners
from memfis.service.systemd import notify
from memfis.settings.addresses import ListenAddress
from memfis.settings.values import GatewaySettings

TICK = 1.0
"""Seconds between two words to systemd, and between two searches for clients that hang."""

PROBING = 0.05
"""Seconds until it is asked once more whether a probe of the database is due."""

log = logging.getLogger("memfis.gateway")


class Gateway:
    """Serves memcached's protocol over a database."""

    def __init__(self, backend: Backend, settings: GatewaySettings) -> None:
        """Use `backend` with `settings`; nothing listens yet."""
        self._settings = settings
        self._listeners = Listeners(log)
        self.items = Items.over(backend, settings, Figures())
        self.connections = Connections(self.items)

    async def serve(
        self,
        stop: asyncio.Event,
        listeners: Sequence[socket.socket],
        metrics: socket.socket | None = None,
    ) -> None:
        """Serve clients of `listeners` until `stop`, then let them end.

        `metrics`: where Prometheus asks, when another listens there for us.
        """
        async with contextlib.AsyncExitStack() as stack:
            servers = [await accept(each, self.connections.new) for each in listeners]
            stack.push_async_callback(self._listeners.close)
            await self._expose(stack, metrics)
            tasks = [asyncio.create_task(self._probe()), asyncio.create_task(self._tend())]
            for task in tasks:
                stack.callback(task.cancel)
            log.info("serving %s", ", ".join(_name(each) for each in listeners))
            notify("READY=1")
            await stop.wait()
            notify("STOPPING=1")
            for server in servers:
                server.close()
            await self._drain()
        log.info("stopped")

    async def _drain(self) -> None:
        """Answer what clients have asked, for `drain_timeout` at most."""
        self.connections.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_timeout):
                while self.connections.open:
                    await asyncio.sleep(0.01)
        if self.connections.open:
            log.warning("%d connections cut off", len(self.connections.open))

    async def _expose(
        self, stack: contextlib.AsyncExitStack, listener: socket.socket | None
    ) -> None:
        address = self._settings.metrics
        if address is None:
            return
        exposition = Exposition(Collected(self.items))
        if listener is not None:
            server = await asyncio.start_unix_server(exposition.serve, sock=listener)
            stack.callback(server.close)
        else:
            place = ListenAddress.parse(address)
            opener = partial(exposition.listen, place.path, place.host, place.port)
            await self._listeners.want(f"metrics {address}", opener)

    async def _probe(self) -> None:
        """Ask a database that does not answer from time to time whether it does again."""
        guard = self.items.guard
        while True:
            await asyncio.sleep(PROBING)
            await guard.probe()

    async def _tend(self) -> None:
        while True:
            await self.connections.close_hung()
            await self._listeners.try_again()
            breaker, figures = self.items.guard.breaker, self.items.figures
            away = f"; Couchbase is away: {breaker.reason}" if breaker.is_open else ""
            status = f"{figures.connections} connections, {figures.hits} hits{away}"
            if trouble := self._listeners.trouble:
                status += f"; not listening: {', '.join(trouble)}"
            notify("WATCHDOG=1", f"STATUS={status}")
            await asyncio.sleep(TICK)


def _name(listener: socket.socket) -> str:
    name = listener.getsockname()
    return str(name) if isinstance(name, str) else f"{name[0]}:{name[1]}"
