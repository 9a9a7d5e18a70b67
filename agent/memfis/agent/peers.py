"""Hosts with stores of their own: a purge at one is told to the others, until they have done it.

Each is told as an application would tell it, by `PURGE` over HTTP, which its nginx lets in from the
addresses in `purge_from`. What was not told yet outlives the agent, in a file.
"""

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec

from memfis import __version__
from memfis.render.patterns import EVERYTHING, Pattern, as_text
from memfis.service import state
from memfis.settings.values import Site

PATTERNS = "X-Memfis-Patterns"
"""The header field that has what is to be purged, as `as_text` writes it, as JSON in ASCII. Whoever
gets it tells nobody else."""

TOGETHER = 6000
"""Bytes of that field at most: nginx takes lines of 8 KiB (large_client_header_buffers)."""

MOST = 100
"""Purges that wait for one host and site; when there are more, everything is purged there."""

PATIENCE = 5.0
"""Seconds that a host has for its answer."""

AGAIN = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before it is tried again, and then always the last."""

log = logging.getLogger("memfis")


class _Waiting(msgspec.Struct):
    """What one host is to purge of one site, in order."""

    site: str
    peer: str
    """Its URL."""
    host: str
    """The `Host:` that is asked for there, and by TLS."""
    purges: list[list[str]] = []


class Peers:
    """Tells other hosts what was purged here."""

    def __init__(self, directory: Path) -> None:
        """Keep what waits in `directory`."""
        self._file = directory / "purges.json"
        self._waiting: dict[tuple[str, str], _Waiting] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._http: httpx.AsyncClient | None = None

    def begin(self, sites: Iterable[Site]) -> None:
        """Go on with what was not told before the agent was started; of `sites` as they are now."""
        named = {
            (site.name, peer): site.php.host
            for site in sites
            if site.php is not None
            for peer in site.php.peers
        }
        for waiting in state.read(self._file, list[_Waiting]) or []:
            host = named.get((waiting.site, waiting.peer))
            if host is not None:
                waiting.host = host
                self._waiting[waiting.site, waiting.peer] = waiting
                self._start(waiting)

    def tell(self, site: Site, patterns: Sequence[Pattern]) -> None:
        """Tell the peers of `site` soon that `patterns` were purged."""
        if site.php is None or not site.php.peers:
            return
        texts = [as_text(pattern) for pattern in patterns]
        if len(json.dumps(texts)) > TOGETHER:
            texts = [as_text(EVERYTHING)]
        for peer in site.php.peers:
            waiting = self._waiting.setdefault(
                (site.name, peer), _Waiting(site.name, peer, site.php.host)
            )
            if len(waiting.purges) >= MOST:
                waiting.purges[1:] = [[as_text(EVERYTHING)]]  # the first is being told
            else:
                waiting.purges.append(texts)
            self._start(waiting)
        self._write()

    async def close(self) -> None:
        """Tell nothing more; what waits is told by the next agent."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if self._http is not None:
            await self._http.aclose()

    def _start(self, waiting: _Waiting) -> None:
        key = (waiting.site, waiting.peer)
        if key not in self._tasks or self._tasks[key].done():
            self._tasks[key] = asyncio.create_task(self._tell(waiting))

    async def _tell(self, waiting: _Waiting) -> None:
        tried = 0
        while waiting.purges:
            problem = await self._ask(waiting, waiting.purges[0])
            if problem is None:
                if tried:
                    log.info("%s: %s is told again what is purged", waiting.site, waiting.peer)
                tried = 0
                del waiting.purges[0]
                self._write()
                continue
            if not tried:
                log.warning(
                    "%s: %s was not told what is purged, and is tried again: %s",
                    *(waiting.site, waiting.peer, problem),
                )
            await asyncio.sleep(AGAIN[min(tried, len(AGAIN) - 1)])
            tried += 1

    async def _ask(self, waiting: _Waiting, texts: Sequence[str]) -> str | None:
        """Return why it was not done; None: it was."""
        if self._http is None:
            self._http = httpx.AsyncClient(
                headers={"User-Agent": f"memfis/{__version__} (purge)"},
                follow_redirects=False,
                timeout=PATIENCE,
                trust_env=False,
            )
        name = urlsplit(f"//{waiting.host}").hostname or waiting.host
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._http.request(
                    "PURGE",
                    f"{waiting.peer}/",
                    headers={"Host": waiting.host, PATTERNS: json.dumps(texts)},
                    extensions={"sni_hostname": name},
                )
        except TimeoutError:
            return f"no answer within {PATIENCE:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return str(error) or type(error).__name__
        if answer.status_code == 200:
            return None
        if answer.status_code in (403, 405):
            return f"it answered {answer.status_code}: is this host in its purge_from?"
        return f"it answered {answer.status_code}"

    def _write(self) -> None:
        state.write(self._file, [each for each in self._waiting.values() if each.purges])


def patterns_in(fields: Mapping[str, str]) -> list[str] | None:
    """Return the texts of the patterns in a `PURGE` of another host's agent; None: it is no such.

    Raises ValueError.
    """
    if PATTERNS not in fields:
        return None
    return msgspec.json.decode(fields[PATTERNS], type=list[str])
