"""The foreground server: set up, keep, and leave nothing behind."""

import asyncio
import os
import pwd
import re
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from memfis.errors import MemfisError, ProgramError, UsageError
from memfis.keeper import SiteKeeper
from memfis.nginx.site import render, site_variables
from memfis.serve.programs import Program, find, start_memcached, start_nginx
from memfis.serve.reader import Reader, choose, copy_lua
from memfis.service.signals import Signals
from memfis.settings.host import FIRST_LEVEL
from memfis.settings.values import Site
from memfis.sync import Report
from memfis.webroot import WebRoot

WORKERS = ("www-data", "nginx", "nobody")
"""Whom nginx and memcached run as when root starts us: the first that exists."""

EACH = 1.0
"""Seconds between two checks whether nginx and memcached are alive."""

MIME_TYPES = Path("/etc/nginx/mime.types")


@dataclass(frozen=True)
class Listen:
    """Where visitors connect: an address and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Listen":
        """Read `HOST:PORT`, `[IPV6]:PORT` or `PORT`; raises UsageError."""
        match = re.fullmatch(r"(?:(\[[0-9a-fA-F:.]+\]|[0-9.]+|localhost):)?(\d{1,5})", text)
        if not match or not 0 < int(match[2]) < 65536:
            raise UsageError(f"listen {text!r}: expected ADDRESS:PORT, as 127.0.0.1:8080")
        return cls(match[1] or "127.0.0.1", int(match[2]))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def serve(
    directory: str,
    listen: Listen,
    mebibytes: int,
    ready: Callable[[str, str, Report], None],
    site: Site,
    from_memory: str | None = None,
) -> None:
    """Serve `directory` until SIGINT or SIGTERM; `site` has the settings that flags gave.

    `from_memory`: what reads pages in nginx; None: Lua, where nginx has it. `ready` is called with
    the URL, what reads, and the report of the first sync. Raises UsageError for a directory that
    cannot be served, ProgramError for nginx or memcached.
    """
    user = _worker()
    site = replace(site, root=os.path.abspath(directory), reader=user)
    WebRoot(site).check_open()  # says what is wrong with the directory before anything is started
    find("nginx"), find("memcached")
    with ExitStack() as stack:
        runtime = Path(tempfile.mkdtemp(prefix="memfis-"))
        stack.callback(shutil.rmtree, runtime)
        store = runtime / "store"
        store.mkdir(mode=0o700)
        if user:
            # memcached makes its socket there. All else is root's: what root writes and nginx's
            # master process reads must be nobody's to exchange.
            shutil.chown(store, user)
            shutil.chown(runtime, group=pwd.getpwnam(user).pw_gid)
            runtime.chmod(0o710)
        reader = choose(from_memory, runtime)
        site = replace(
            site,
            from_memory=reader.from_memory,
            first_level=str(runtime / "first-level.sock") if reader.from_memory == "lua" else None,
            store=f"memcached://{store / 'memcached.sock'}",
            origin=str(runtime / "origin.sock"),
        )
        children = _Children(runtime, listen, mebibytes, user, site, reader)
        stack.callback(children.stop)
        asyncio.run(
            _serve(
                site,
                runtime,
                children,
                lambda report: ready(f"http://{listen}/", reader.from_memory, report),
            )
        )


async def _serve(
    site: Site, runtime: Path, children: "_Children", ready: Callable[[Report], None]
) -> None:
    """Serve until a signal comes."""
    with Signals() as signals:
        children.start_store()
        keeper = SiteKeeper(site, runtime, jobs=len(os.sched_getaffinity(0)))
        kept = asyncio.create_task(keeper.keep())
        try:
            await _first(kept, keeper.begun.wait(), signals.stop.wait())
            if signals.stop.is_set():
                return
            if keeper.report is None:
                raise MemfisError("the first sync failed; see above")
            children.start_nginx()
            ready(keeper.report)
            while not signals.stop.is_set():
                children.check()
                await _first(kept, signals.stop.wait(), timeout=EACH)
        finally:
            kept.cancel()
            await asyncio.gather(kept, return_exceptions=True)


async def _first(
    kept: "asyncio.Task[None]", *events: Coroutine[Any, Any, Any], timeout: float | None = None
) -> None:
    """Wait for the first of `events`; raises what `kept` ended with."""
    waiting = [asyncio.ensure_future(event) for event in events]
    await asyncio.wait([kept, *waiting], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()
    if kept.done():
        kept.result()


class _Children:
    """The private memcached and nginx of one `memfis serve`."""

    def __init__(
        self,
        runtime: Path,
        listen: Listen,
        mebibytes: int,
        user: str | None,
        site: Site,
        reader: Reader,
    ) -> None:
        self._reader = reader
        self._runtime, self._listen, self._mebibytes = runtime, listen, mebibytes
        self._socket = runtime / "store" / "memcached.sock"
        self._user, self._site = user, site
        self._store: Program | None = None
        self._nginx: Program | None = None

    def start_store(self) -> None:
        """Start memcached."""
        self._store = start_memcached(self._socket, self._mebibytes, self._user, self._runtime)

    def start_nginx(self) -> None:
        """Render the configuration and start nginx."""
        mime_types = _mime_types()
        variables = site_variables(
            self._site,
            [str(self._listen)],
            ["localhost"],
            mime_types.read_text("utf-8", "replace"),
        )
        site_file = self._runtime / "site.conf"
        site_file.write_text(render("site.conf.j2", site=variables), "utf-8", "surrogateescape")
        lua = self._runtime / "lua"
        if self._site.first_level:
            copy_lua(lua)
        first_level = {"socket": self._site.first_level, "memory": FIRST_LEVEL, "lua": str(lua)}
        configuration = self._runtime / "nginx.conf"
        configuration.write_text(
            render(
                "nginx.conf.j2",
                runtime_directory=str(self._runtime),
                error_log="stderr",
                user=self._user,
                workers=os.cpu_count() or 1,
                mime_types=str(mime_types),
                site_file=str(site_file),
                modules=self._reader.modules,
                first_level=first_level if self._site.first_level else None,
            )
        )
        pid_file = self._runtime / "nginx.pid"
        self._nginx = start_nginx(configuration, pid_file, str(self._listen))

    def check(self) -> None:
        """Start memcached again when it ended; raise when nginx did."""
        if self._store is not None and self._store.ended:
            self._socket.unlink(missing_ok=True)
            self.start_store()
        if self._nginx is not None and self._nginx.ended:
            raise self._nginx.failure()

    def stop(self) -> None:
        """Stop both, nginx first, so that no visitor meets a store that is gone."""
        for program in (self._nginx, self._store):
            if program is not None:
                program.stop()


def _worker() -> str | None:
    """Return the user to run the programs as when we are root, None when we are not."""
    if os.geteuid() != 0:
        return None
    users = {entry.pw_name for entry in pwd.getpwall()}
    for name in WORKERS:
        if name in users:
            return name
    raise ProgramError(f"no user to run nginx as: none of {', '.join(WORKERS)} exists")


def _mime_types() -> Path:
    if not MIME_TYPES.exists():
        raise ProgramError(f"{MIME_TYPES} is missing: reinstall nginx")
    return MIME_TYPES
