"""A site that is kept by a process of its own, as its disk may keep whoever looks at it waiting.

A process that looks at a file system whose server is dead waits until that is back, and nothing
ends it before (a network file system, nfs(5) "hard"; FUSE). So the agent does not look itself, and
does not wait for the process that does.
"""

import asyncio
import itertools
import logging
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from memfis.agent.apart_messages import (
    Answer,
    Begin,
    Ended,
    Log,
    Progress,
    Purge,
    Request,
    State,
    Sync,
    framed,
    receive,
)
from memfis.errors import MemfisError
from memfis.keeper.journal import Journal, log
from memfis.keeper.times import RETRY, now
from memfis.nginx.hints import Hint
from memfis.render.figures import Purged, RenderingStatus
from memfis.render.patterns import Pattern
from memfis.settings.values import Site
from memfis.sync import Change, Held, Options, Report

PATIENCE = 10.0
"""Seconds without a word from the process after which its disk is taken not to answer."""

STOPPING = 2.0
"""Seconds that it has to end by itself when the socket is closed, and again when it is killed."""

EACH = 0.02
"""Seconds between two looks whether it has ended."""

BEHIND = 256 * 1024
"""Bytes that may wait to be read by it; hints beyond are dropped."""

SILENT = "the file system of the web root does not answer"


class _Problems:
    def __init__(self, kinds: dict[str, int]) -> None:
        self._kinds = kinds

    def __len__(self) -> int:
        return sum(self._kinds.values())

    def kinds(self) -> dict[str, int]:
        return self._kinds


class SiteApart:
    """Keeps one site by a process of its own; see `Kept`."""

    def __init__(
        self,
        site: Site,
        locks: Path,
        *,
        mime_types: str,
        waits_for: str,
        installation: str | None = "",
    ) -> None:
        """Prepare to keep `site`, as `SiteKeeper` does; `waits_for` names the file system.

        One process does it all: so it is certain who waits.
        """
        self.site = site
        self.begun = asyncio.Event()
        """Set also when nobody can say how the site is: others need not wait for it."""
        self.answers = True
        self._waits_for = waits_for
        self._journal = Journal(site.name)
        self._begin = Begin(site, locks, mime_types, installation, log.level)
        self._state = State()
        self._report: Report | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._numbers = itertools.count()
        self._requests: dict[int, tuple[asyncio.Future[Any], Options | None]] = {}

    # -- how it is -----------------------------------------------------------------------------

    @property
    def health(self) -> "SiteApart":
        """How its store is."""
        return self

    @property
    def is_down(self) -> bool:
        """Whether its store did not answer."""
        return self._state.store_is_down

    @property
    def figures(self) -> Mapping[str, str]:
        """What its store answered to `stats`."""
        return self._state.figures

    @property
    def problems(self) -> "_Problems":
        """What should be in memory and cannot."""
        return _Problems(self._state.problems | ({} if self.answers else {SILENT: 1}))

    @property
    def pages(self) -> int:
        """How many pages of files are in memory."""
        return self._state.pages

    @property
    def report(self) -> Report | None:
        """On the last sync of the whole site."""
        return self._report

    @property
    def syncs(self) -> int:
        """How often the whole site was synced."""
        return self._state.syncs

    @property
    def last_sync(self) -> float | None:
        """When the site item was last written (seconds since the epoch)."""
        return self._state.last_sync

    @property
    def waiting(self) -> int:
        """How many directories are still to be compared."""
        return self._state.waiting

    @property
    def watched(self) -> int:
        """How many directories are watched."""
        return self._state.watched

    @property
    def held(self) -> Held | None:
        """The pages that stay although their files are not found; None: there are none."""
        return self._state.held

    def rendering_status(self) -> RenderingStatus | None:
        """Return how pages are rendered; None for a site without PHP."""
        return self._state.rendering

    # -- what others want ----------------------------------------------------------------------

    def ask(self, options: Options) -> "asyncio.Future[Report]":
        """Sync the whole site soon with `options`."""
        usual = Options()
        plain = replace(options, progress=usual.progress, seen=usual.seen)
        return self._request(Sync(next(self._numbers), plain), options)

    async def purge(self, patterns: Sequence[Pattern], *, dry_run: bool) -> Purged:
        """Remove the pages that `patterns` fit; raises StoreError, UsageError, MemfisError."""
        done: Purged = await self._request(Purge(next(self._numbers), patterns, dry_run))
        return done

    def hint(self, hint: Hint) -> bool:
        """Hear what nginx tells of an answer of PHP's; False for a site without PHP."""
        writer = self._writer
        if writer is not None and writer.transport.get_write_buffer_size() < BEHIND:
            writer.write(framed(hint))
        return self.site.php is not None

    # -- its life ------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Keep the site until cancelled; raises what the process ended with."""
        self._journal.say(
            logging.INFO, f"kept by a process of its own, as a look at {self._waits_for} may wait"
        )
        while True:
            code = await self._run()
            message = f"the process that keeps this site ended (exit code {code}); starting another"
            self._journal.say(logging.ERROR, message)
            await asyncio.sleep(RETRY)

    async def _run(self) -> int | None:
        """Start the process, and return with what it ended."""
        near, far = socket.socketpair()
        with far:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "memfis.agent.alone", str(far.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[far.fileno()],
            )
        try:
            reader, self._writer = await asyncio.open_connection(sock=near)
            self._send(self._begin)
            await self._hear(reader)
        finally:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            self._fail_requests(f"site {self.site.name} is not kept any more")
            await self._end(process)
        return process.returncode

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        """Hear what the process says until it ends; raises what it ended with."""
        receiving = asyncio.ensure_future(receive(reader))
        try:
            while True:
                await asyncio.wait([receiving], timeout=PATIENCE)
                if not receiving.done():
                    self._is_silent()
                    continue
                word = receiving.result()
                if word is None:
                    return
                receiving = asyncio.ensure_future(receive(reader))
                self._heard(word)
        finally:
            receiving.cancel()

    def _heard(self, word: object) -> None:
        match word:
            case State():
                self._state = word
                if word.begun:
                    self.begun.set()
                if not self.answers:
                    self.answers = True
                    self._journal.say(logging.INFO, f"{self._waits_for} answers again")
            case Report():
                self._report = word
            case Log(level, line):
                log.log(level, "%s", line)
            case Progress(number, what):
                _, options = self._requests.get(number, (None, None))
                if options is not None and isinstance(what, Change):
                    options.seen(what)
                elif options is not None and isinstance(what, int):
                    options.progress(what)
            case Answer(number, result):
                future, _ = self._requests.pop(number)
                if future.done():
                    return
                if isinstance(result, BaseException):
                    future.set_exception(result)
                else:
                    future.set_result(result)
            case Ended(error):
                raise error

    def _is_silent(self) -> None:
        self.begun.set()
        if self.answers:
            self.answers = False
            self._journal.say(
                logging.ERROR,
                f"{self._waits_for} does not answer: what is in memory stays until its lease ends",
            )
        self._fail_requests(self._refusal)

    async def _end(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait until the process ends, as it is told no more; kill it if it does not.

        One that waits for its disk cannot be ended, and goes when it can.
        """
        for kill in (False, True):
            if kill:
                process.kill()
            end = now() + STOPPING
            while now() < end:
                if process.poll() is not None:
                    return
                await asyncio.sleep(EACH)
        self._journal.say(
            logging.WARNING,
            f"process {process.pid} waits for {self._waits_for} and cannot be ended before that"
            " answers or is aborted",
        )

    # -- requests ------------------------------------------------------------------------------

    @property
    def _refusal(self) -> str:
        return f"site {self.site.name}: {self._waits_for} does not answer"

    def _request(
        self, request: Sync | Purge, options: Options | None = None
    ) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if not self.answers:
            future.set_exception(MemfisError(self._refusal))
        elif self._writer is None:
            future.set_exception(MemfisError(f"site {self.site.name} is not kept yet"))
        else:
            self._requests[request.number] = future, options
            self._send(request)
        return future

    def _send(self, request: Request) -> None:
        if self._writer is not None:
            self._writer.write(framed(request))

    def _fail_requests(self, why: str) -> None:
        while self._requests:
            _, (future, _) = self._requests.popitem()
            if not future.done():
                future.set_exception(MemfisError(why))
