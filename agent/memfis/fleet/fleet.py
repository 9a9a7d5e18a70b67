"""What hosts that share a store say to each other, and who of them fills it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from memfis.errors import StoreError, UsageError
from memfis.fleet.followed import FollowedSite
from memfis.fleet.mailbox import TURN, Mailbox, Whose
from memfis.fleet.near import PATIENCE, Near
from memfis.fleet.pending import PendingPurges
from memfis.fleet.sayings import Sayings
from memfis.keeper import Kept
from memfis.keeper.times import now
from memfis.layout.boxes import Box
from memfis.nginx.hints import Hint
from memfis.render.figures import Purged
from memfis.render.patterns import EVERYTHING, Pattern, as_text, from_text
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import FleetSettings
from memfis.store import Store

EACH = 0.2
"""Seconds between two looks at what others say."""

WORD = 5.0
"""Seconds between two words of a host that has nothing new to say."""

GONE = 15.0
"""Seconds without a word after which a host is taken to be gone."""

MARGIN = 2.0
"""Seconds by which a host stops to publish before its turn ends: it may be slow to find out."""

AGAIN = 0.5
"""Seconds before a purge that the store did not let happen is tried again."""

TELLING = 2.0
"""Seconds that a purge waits to be said to the others; it is said later then."""

CLOCK = 10.0
"""Seconds by which clocks may differ."""

log = logging.getLogger("memfis")


class Fleet:
    """This host among those that share the store at `address`."""

    def __init__(
        self,
        settings: FleetSettings,
        address: StoreAddress,
        keepers: Callable[[], Mapping[str, Kept]],
        directory: Path,
    ) -> None:
        """Prepare it; `keepers` returns the sites of this host that are in memory, by name.

        `directory`: where is kept what outlives the agent.
        """
        self.settings = settings
        self.changed = asyncio.Event()
        """Set when it is this host's turn to publish, or no more."""
        self._keepers = keepers
        self._mail = Mailbox(Store(address, PATIENCE))
        self._turn_mail = Mailbox(Store(address, PATIENCE))
        self._sayings = Sayings(settings.host)
        self._until = 0.0
        """Until when it is our turn, by the event loop's clock; where others may take over."""
        self._known = not settings.takeover and settings.host == settings.publisher
        """What `publishes` was when others were told."""
        self._boxes: dict[str, Box] = {}
        self._heard: dict[str, float] = {}
        """When the last new word came from a host."""
        self._purges_heard: dict[str, tuple[str, int]] = {}
        self._hints_heard: dict[str, tuple[str, int]] = {}
        self._pending = PendingPurges(directory)
        self._more = asyncio.Event()
        self._news = asyncio.Event()
        self._due = self._began = 0.0
        self._said = asyncio.Event()
        self._told: set[str] = set()
        self._resumed = False
        """Whether our own box of before was looked for."""

    # -- who publishes -------------------------------------------------------------------------

    @property
    def publishes(self) -> bool:
        """Whether this host fills the store."""
        if not self.settings.takeover:
            return self.settings.host == self.settings.publisher
        return now() < self._until

    def publisher(self) -> str:
        """Return the name of the host that fills the store, as far as it is known."""
        if self.publishes:
            return self.settings.host
        for host, box in self._boxes.items():
            if box.publishes and self.is_here(host):
                return host
        return self.settings.publisher

    def is_here(self, host: str) -> bool:
        """Whether another `host` was heard of lately."""
        return host in self._heard and now() - self._heard[host] < GONE

    @property
    def hosts(self) -> Mapping[str, bool]:
        """Whether each of the other hosts was heard of lately."""
        return {host: self.is_here(host) for host in self.settings.others}

    # -- what happens here ---------------------------------------------------------------------

    def hinted(self, site: str, path: bytes) -> None:
        """Say that PHP answered here for a page that might be in memory."""
        if self._sayings.hint(site, path):
            self._news.set()

    async def purge(self, keeper: Kept, patterns: Sequence[Pattern], *, dry_run: bool) -> Purged:
        """Purge here as `keeper` does, and let the others know; see `Kept`.

        Where the store cannot be asked it is purged when that is back. Raises StoreError, and
        UsageError.
        """
        site = keeper.site.name
        try:
            done = await keeper.purge(patterns, dry_run=dry_run)
        except StoreError as error:
            if dry_run:
                raise
            self._add(site, patterns, ours=True)
            raise StoreError(f"{error}; it is purged when the store is back") from error
        if not dry_run:
            self._say(site, patterns)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TELLING):
                    await self._said.wait()
        return done

    def _say(self, site: str, patterns: Iterable[Pattern]) -> None:
        self._sayings.purge(site, map(as_text, patterns))
        self._said.clear()
        self._news.set()

    def _add(self, site: str, patterns: Sequence[Pattern], *, ours: bool) -> None:
        """Purge soon."""
        self._pending.add(site, patterns, ours=ours)
        self._more.set()

    # -- its life ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Go on until cancelled."""
        self._began = now()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._talk())
                tasks.create_task(self._purge())
                if self.settings.takeover:
                    tasks.create_task(self._take_turns())
        finally:
            if self._until:
                with contextlib.suppress(StoreError):
                    self._turn_mail.leave(self.settings.host)
            self._mail.close()
            self._turn_mail.close()

    async def _talk(self) -> None:
        while True:
            try:
                await self._read()
                if self._news.is_set() or now() >= self._due:
                    await self._post()
            except StoreError as error:
                self._once(
                    "store",
                    logging.ERROR,
                    f"{error}; other hosts are not heard, nor told, meanwhile",
                )
            else:
                if "store" in self._told:
                    log.info("fleet: other hosts are heard again")
                    self._told.discard("store")
            self._watch()
            await asyncio.sleep(EACH)

    async def _read(self) -> None:
        hosts = self.settings.others if self._resumed else self.settings.hosts
        found = await asyncio.to_thread(self._mail.read, hosts)
        ours = found.pop(self.settings.host, None)
        if not self._resumed and isinstance(ours, Box):
            self._sayings.go_on_from(ours)
        self._resumed = True
        for host, box in found.items():
            if isinstance(box, Box):
                self._hear(host, box)
            else:
                self._once(f"box {host}", logging.ERROR, f"what {host} says is no box: {box}")

    async def _post(self) -> None:
        self._news.clear()
        keepers = self._keepers()
        box = self._sayings.box(
            publishes=self.publishes,
            sites=sorted(keepers),
            pages=sum(keeper.pages for keeper in keepers.values()),
        )
        try:
            await asyncio.to_thread(self._mail.post, box)
        except StoreError:
            self._news.set()
            raise
        self._due = now() + WORD
        if not self._news.is_set():
            self._said.set()

    # -- what others say -----------------------------------------------------------------------

    def _hear(self, host: str, box: Box) -> None:
        self._told.discard(f"box {host}")
        before = self._boxes.get(host)
        if before is None or (before.run, before.written) != (box.run, box.written):
            self._heard[host] = now()
            self._judge(host, box, first=before is None)
        self._boxes[host] = box
        self._hear_purges(host, box)
        self._sayings.heard_by(box)
        if self.publishes:
            self._hear_hints(host, box)

    def _hear_purges(self, host: str, box: Box) -> None:
        run, number = self._purges_heard.get(host, (box.run, box.purged))
        self._purges_heard[host] = (box.run, box.purged)
        purges = box.purges_after(number) if run == box.run else None
        if purges is None:
            log.warning("fleet: purges of %s were missed: everything rendered goes", host)
            for site in self._keepers():
                self._add(site, [EVERYTHING], ours=False)
            return
        for purge in purges:
            try:
                patterns = [from_text(each) for each in purge.patterns]
            except UsageError as error:
                self._once(f"purge {host}", logging.ERROR, f"a purge of {host}: {error}")
                continue
            if purge.site in self._keepers():
                self._add(purge.site, patterns, ours=False)

    def _hear_hints(self, host: str, box: Box) -> None:
        run, number = self._hints_heard.get(host, (box.run, 0))
        self._hints_heard[host] = (box.run, box.hinted)
        keepers = self._keepers()
        for hint in box.hints_after(number if run == box.run else 0):
            keeper, path = keepers.get(hint.site), hint.raw
            if keeper is not None and path is not None:
                keeper.hint(Hint(hint.site, path))
        if self._sayings.taken_from(box):
            self._news.set()

    def _judge(self, host: str, box: Box, *, first: bool) -> None:
        """Say what of another host does not go together with ours."""
        ahead = box.written - time.time()
        if abs(ahead) <= CLOCK:
            self._told.discard(f"clock {host}")
        elif not first:  # the first word may be an old one
            which = "ahead of" if ahead > 0 else "behind"
            self._once(
                f"clock {host}",
                logging.WARNING,
                f"the clock of {host} is {abs(ahead):.0f} s {which} this host's",
            )
        if box.publishes and self.publishes and not first:
            self._once(
                f"both {host}",
                logging.ERROR,
                f"{host} says that it publishes, and so does this host: only one may; see"
                " 'publisher' of both",
            )
        missing = sorted(self._keepers().keys() - set(box.sites))
        if box.publishes and missing:
            self._once(
                f"sites {host}",
                logging.ERROR,
                f"{host}, which publishes, has no site {', '.join(missing)}: nothing fills it",
            )
        elif not missing:
            self._told.discard(f"sites {host}")

    def _watch(self) -> None:
        """Say when the host that publishes is silent, and when it is heard again."""
        if self.publishes or "store" in self._told:
            return
        host = self.publisher()
        if self.is_here(host):
            if "silent" in self._told:
                log.info("fleet: %s is heard again", host)
                self._told.discard("silent")
        elif now() > self._began + GONE:
            self._once(
                "silent",
                logging.ERROR,
                f"{host}, which publishes, has said nothing for {GONE:.0f} s: nothing new comes"
                " into memory",
            )

    def _once(self, about: str, level: int, text: str) -> None:
        if about not in self._told:
            self._told.add(about)
            log.log(level, "fleet: %s", text)

    # -- purges --------------------------------------------------------------------------------

    async def _purge(self) -> None:
        """Carry out what waits, one after the other."""
        while True:
            if not self._pending:
                self._more.clear()
                await self._more.wait()
            purge = self._pending.first
            try:
                await self._carry_out(*purge)
            except StoreError as error:
                log.debug("%s: a purge waits: %s", purge.site, error)
                await asyncio.sleep(AGAIN)
                continue
            except UsageError as error:
                log.warning("%s: not purged: %s", purge.site, error)
            self._pending.done(purge)

    async def _carry_out(self, site: str, patterns: Sequence[Pattern], ours: bool) -> None:
        keeper = self._keepers().get(site)
        if keeper is None:
            return
        if isinstance(keeper, FollowedSite) and not ours:
            keeper.forget(patterns)
            return
        await keeper.purge(patterns, dry_run=False)
        if not isinstance(keeper, FollowedSite):
            with contextlib.closing(Near(keeper.site)) as near:
                near.forget(patterns)
        if ours:
            self._say(site, patterns)

    # -- turns ---------------------------------------------------------------------------------

    async def _take_turns(self) -> None:
        host = self.settings.host
        seen = host == self.settings.publisher  # it begins; the others when it has gone
        began = now()
        while True:
            asked = now()
            take = seen or asked - began > TURN
            try:
                whose = await asyncio.to_thread(partial(self._turn_mail.turn, host, take=take))
            except StoreError as error:
                log.debug("fleet: whose turn it is cannot be asked: %s", error)
            else:
                seen = seen or whose is Whose.ANOTHERS
                self._until = asked + TURN - MARGIN if whose is Whose.OURS else 0.0
            self._tell()
            wait = min(WORD, self._until - now()) if self.publishes else EACH
            await asyncio.sleep(max(EACH, wait))
            self._tell()

    def _tell(self) -> None:
        if self.publishes != self._known:
            self._known = self.publishes
            log.warning(
                "fleet: %s",
                "this host fills the store from now on"
                if self._known
                else "this host does not fill the store any more",
            )
            self.changed.set()
            self._news.set()
