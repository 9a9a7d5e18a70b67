"""The daemon's life: start, keep every site, read the settings again, stop.

Sites that a mount fills are not kept: the daemon looks at their stores and does nothing to them.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence, Set
from functools import partial

from memfis.agent.apart import SiteApart
from memfis.agent.leftovers import remove_leftovers, stores_of
from memfis.agent.peers import Peers
from memfis.agent.web import WebSockets
from memfis.catalog.source import Source, declared_source
from memfis.control.messages import SOCKET
from memfis.control.server import answer_requests
from memfis.errors import ConfigurationError, MemfisError, UsageError
from memfis.fleet.fleet import Fleet
from memfis.fleet.followed import FollowedSite
from memfis.keeper import Kept, SiteKeeper, StoredSite
from memfis.layout.paths import shown
from memfis.render.figures import Purged
from memfis.render.patterns import Pattern
from memfis.service.listening import Listeners
from memfis.service.mount_table import MountTable
from memfis.service.runtime import runtime_directory, state_directory
from memfis.service.signals import Signals
from memfis.service.sockets import listen_unix, passed_sockets
from memfis.service.systemd import notify
from memfis.service.trust import own_directory
from memfis.settings.addresses import ListenAddress, StoreAddress
from memfis.settings.values import Settings, Site
from memfis.watch.mounts import Mount, waiting_on

TICK = 1.0
"""Seconds between two words to systemd."""

IDLE = "no site to keep: configure one under [[sites]], and reload"
"""What is told where the settings have none on purpose."""

log = logging.getLogger("memfis")


def run(load: Callable[[], Settings]) -> None:
    """Keep all sites of the settings that `load` returns, until SIGINT or SIGTERM.

    SIGHUP loads them again; without a site it waits for that. Raises UsageError, and what a site
    ended with.
    """
    asyncio.run(Daemon(load(), load, passed_sockets()).run())


class Daemon:
    """Keeps the configured sites."""

    def __init__(
        self, settings: Settings, load: Callable[[], Settings], passed: Sequence[socket.socket]
    ) -> None:
        """Keep the sites of `settings`; `load` returns them anew.

        `passed`: the sockets that systemd listens at for us.
        """
        self._load = load
        self._settings = settings
        self._runtime = runtime_directory(settings.runtime_directory)
        self._keepers: dict[str, Kept] = {}
        self._stored: dict[str, StoredSite] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._listeners = Listeners(log)
        self._web = WebSockets(self._keepers.get, self._purge, self._listeners, passed)
        state = state_directory(self._runtime)
        self._fleet: Fleet | None = None
        """None: no other host fills the store."""
        if settings.fleet is not None:
            store = StoreAddress.parse(settings.store)
            self._fleet = Fleet(settings.fleet, store, lambda: self._keepers, state)
        self._peers = Peers(state)
        self._mounts = MountTable()
        self._remounted = asyncio.Event()
        self._removal: asyncio.Task[None] | None = None
        self._ready = False
        self._status = ""

    async def run(self) -> None:
        """Run until a signal says to stop; raises what a site ended with."""
        with Signals(hangup=True) as signals:
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(self._end, self._tasks)
                stack.push_async_callback(self._listeners.close)
                await self._listen(stack)
                stack.enter_context(self._mounts.telling(self._mounted))
                if self._fleet is not None:
                    await stack.enter_async_context(_running(self._fleet))
                for site in self._settings.kept:
                    self._begin(site)
                stack.push_async_callback(self._peers.close)
                self._peers.begin(self._settings.kept)
                await self._web.listen(self._settings.kept)
                log.info("%s", self._sites())
                stack.push_async_callback(self._end_removal)
                self._begin_removal(self._settings)
                while not signals.stop.is_set():
                    if signals.reload.is_set():
                        signals.reload.clear()
                        await self._reload()
                    if self._remounted.is_set():
                        self._remounted.clear()
                        await self._move()
                    if self._fleet is not None and self._fleet.changed.is_set():
                        self._fleet.changed.clear()
                        await self._change_sides()
                    await self._listeners.try_again()
                    self._tell_systemd()
                    await self._wait(signals)
                notify("STOPPING=1")
        log.info("stopped")

    async def _wait(self, signals: Signals) -> None:
        """Wait for a signal, a mount, a site that ends, or the next word to systemd."""
        awaited = [signals.stop, signals.reload, self._remounted]
        if self._fleet is not None:
            awaited.append(self._fleet.changed)
        events = [asyncio.ensure_future(each.wait()) for each in awaited]
        try:
            await asyncio.wait(
                [*events, *self._tasks.values()],
                timeout=TICK,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for event in events:
                event.cancel()
        for task in self._tasks.values():
            if task.done():
                task.result()  # it never ends well by itself
        if self._removal is not None and self._removal.done():
            self._removal.result()

    async def _listen(self, stack: contextlib.AsyncExitStack) -> None:
        try:
            with own_directory(self._runtime, make=True):
                pass  # nobody else can put another in its place from now on
        except OSError as error:
            raise UsageError(
                f"{self._runtime}: {error.strerror}; set 'runtime_directory' to one you may write"
            ) from error

        async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await answer_requests(reader, writer, self._keepers.get, self._purge, self._listeners)

        path = self._runtime / SOCKET
        stack.push_async_callback(_close, await listen_unix(path, 0o600, control))
        stack.callback(path.unlink, missing_ok=True)
        if self._settings.metrics is None:
            return
        from memfis.agent.metrics import metrics  # for those who want them

        figures = metrics(
            lambda: list(self._keepers.values()),
            lambda: list(self._stored.values()),
            self._web.malformed,
            self._fleet,
        )
        address = self._settings.metrics
        place = ListenAddress.parse(address)
        opener = partial(figures.listen, place.path, place.host, place.port)
        await self._listeners.want(f"metrics {address}", opener)

    def _begin(self, site: Site) -> None:
        keeper: Kept | StoredSite
        if declared_source(site) is Source.STORE:
            keeper = self._stored[site.name] = StoredSite(site)
        elif self._fleet is not None and not self._fleet.publishes:
            keeper = self._keepers[site.name] = FollowedSite(
                site, self._runtime, self._fleet.publisher, self._fleet.hinted
            )
        elif mount := self._waiting_on(site):
            keeper = self._keepers[site.name] = SiteApart(
                site,
                self._runtime,
                mime_types=self._settings.mime_types,
                installation=self._settings.installation,
                waits_for=f"{shown(mount.point)} ({mount.type})",
            )
        else:
            keeper = self._keepers[site.name] = SiteKeeper(
                site,
                self._runtime,
                jobs=len(os.sched_getaffinity(0)),
                mime_types=self._settings.mime_types,
                mounts=self._mounts,
                installation=self._settings.installation,
            )
        self._tasks[site.name] = asyncio.create_task(keeper.keep(), name=site.name)

    def _waiting_on(self, site: Site) -> Mount | None:
        """Return a mount that a look at the disk of `site` may wait for; None: there is none."""
        return waiting_on(map(os.fsencode, (site.root, *site.follow)), self._mounts.lines)

    def _mounted(self, _: Set[bytes]) -> None:
        """Let nothing look here at what was mounted now and may keep it waiting."""
        for keeper in self._keepers.values():
            if isinstance(keeper, SiteKeeper) and self._waiting_on(keeper.site):
                keeper.watch_no_more()
        self._remounted.set()

    async def _move(self) -> None:
        """Give sites processes of their own, or take them back, by what is mounted now."""
        await self._begin_again(
            keeper.site
            for keeper in self._keepers.values()
            if not isinstance(keeper, FollowedSite)
            and isinstance(keeper, SiteApart) != bool(self._waiting_on(keeper.site))
        )

    async def _change_sides(self) -> None:
        """Keep the sites from now on, or leave that to another host of the fleet."""
        await self._end_removal()
        await self._begin_again(keeper.site for keeper in self._keepers.values())
        self._begin_removal(self._settings)

    async def _begin_again(self, sites: Iterable[Site]) -> None:
        again = list(sites)
        await self._end(site.name for site in again)
        for site in again:
            self._begin(site)

    async def _purge(self, keeper: Kept, patterns: Sequence[Pattern], *, dry_run: bool) -> Purged:
        """See `Purger`."""
        if not dry_run:
            self._peers.tell(keeper.site, patterns)
        if self._fleet is not None:
            return await self._fleet.purge(keeper, patterns, dry_run=dry_run)
        return await keeper.purge(patterns, dry_run=dry_run)

    def _sites(self) -> str:
        """Return what is done to which site, for people."""
        follows = self._fleet is not None and not self._fleet.publishes
        word = f"leaving to {self._fleet.publisher()}" if self._fleet and follows else "keeping"
        done = [f"{word} {', '.join(self._keepers)}"] if self._keepers else []
        if self._stored:
            done.append(f"leaving {', '.join(self._stored)} to a mount")
        if off := self._settings.switched_off:
            done.append(f"memory is off of {', '.join(site.name for site in off)}")
        return "; ".join(done) or IDLE

    async def _end(self, names: Iterable[str]) -> None:
        """Stop keeping the sites called `names`."""
        tasks = [self._tasks.pop(name) for name in list(names)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin_removal(self, settings: Settings, before: Settings | None = None) -> None:
        """Remove sites that `settings` do not keep, when those that they do were looked at.

        `before`: the settings that were in use until now. Of hosts that share a store the one that
        fills it does so.
        """
        if self._fleet is not None and not self._fleet.publishes:
            return
        self._removal = asyncio.create_task(
            remove_leftovers(
                stores_of([settings, before] if before else [settings]),
                {site.name for each in (settings, before) if each for site in each.sites},
                self._load,
                self._runtime,
                [keeper.begun for keeper in self._keepers.values()],
            )
        )

    async def _end_removal(self) -> None:
        if self._removal is not None:
            self._removal.cancel()
            await asyncio.gather(self._removal, return_exceptions=True)
            self._removal = None

    async def _reload(self) -> None:
        settings, problems = self._read_again()
        if settings is None:
            for problem in problems:
                log.error("settings not read again: %s", problem)
            return
        before = {site.name: site for site in self._settings.kept}
        now = {site.name: site for site in settings.kept}
        changed = [name for name, site in before.items() if now.get(name) != site]
        await self._end_removal()
        await self._end(changed)
        for name in changed:
            self._keepers.pop(name, None)
            self._stored.pop(name, None)
        for name, site in now.items():
            if name not in self._tasks:
                self._begin(site)
        await self._web.listen(settings.kept)
        for key in ("metrics", "runtime_directory", "mime_types", "fleet"):
            if getattr(settings, key) != getattr(self._settings, key):
                log.warning("%s changed: restart the agent to use it", key)
        self._begin_removal(settings, self._settings)
        self._settings = settings
        log.info("settings read again: %s", self._sites())

    def _read_again(self) -> tuple[Settings | None, list[str]]:
        """Return the settings, or None and what is wrong with them."""
        try:
            return self._load(), []
        except ConfigurationError as error:
            return None, [f"{error.source}: {problem}" for problem in error.problems]
        except MemfisError as error:
            return None, [str(error)]

    def _tell_systemd(self) -> None:
        sites = list(self._keepers.values())
        watched: list[Kept | StoredSite] = [*sites, *self._stored.values()]
        down = [site.site.name for site in watched if site.health.is_down]
        begun = [site for site in sites if site.begun.is_set()]
        status = f"{sum(site.pages for site in sites)} pages of {_sites(len(sites))}"
        if self._fleet is not None and not self._fleet.publishes:
            status = f"{_sites(len(sites))}, filled by {self._fleet.publisher()}"
        if not watched and not self._settings.switched_off:
            status = IDLE
        rendering = [each for site in sites if (each := site.rendering_status()) is not None]
        if rendering:
            status += f", {sum(each.pages for each in rendering)} rendered"
        if self._stored:
            status += f", {_sites(len(self._stored))} left to a mount"
        if off := self._settings.switched_off:
            status += f", memory off of {_sites(len(off))}"
        if len(begun) < len(sites):
            status = f"filling: {_sites(len(begun))} of {len(sites)} done; {status}"
        if pending := sum(site.waiting for site in sites):
            status += f", {pending} directories changed"
        if problems := sum(len(site.problems) for site in sites):
            status += f", {problems} problems"
        for site in sites:
            if (held := site.held) is not None:
                status += (
                    f"; {site.site.name}: {held.pages} pages held until {held.until_shown},"
                    f" {held.why}"
                )
        if down:
            status += f"; store away: {', '.join(down)}"
        if trouble := self._listeners.trouble:
            status += f"; not listening: {', '.join(trouble)}"
        lines = ["WATCHDOG=1"]
        if status != self._status:
            self._status = status
            lines.append(f"STATUS={status}")
        if not self._ready and len(begun) == len(sites):
            self._ready = True
            lines.append("READY=1")
        notify(*lines)


def _sites(number: int) -> str:
    return "1 site" if number == 1 else f"{number} sites"


@contextlib.asynccontextmanager
async def _running(fleet: Fleet) -> AsyncIterator[None]:
    """Let `fleet` run within."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(fleet.run())
        try:
            yield
        finally:
            task.cancel()


async def _close(server: asyncio.Server) -> None:
    server.close()
