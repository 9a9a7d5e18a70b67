"""Sockets at which nginx speaks to the agent: hints of what PHP answered, and `PURGE` requests."""

import asyncio
import contextlib
import logging
import os
import pwd
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from email.parser import BytesParser
from functools import partial

import msgspec

from memfis.agent.peers import patterns_in
from memfis.errors import MemfisError, StoreError, UsageError
from memfis.keeper import Kept, Purger
from memfis.nginx import hints
from memfis.render.patterns import from_text, parse_target
from memfis.service.listening import Listeners
from memfis.service.sockets import reason_of, take_over
from memfis.settings.values import Site

PATIENCE = 5.0
"""Seconds that a client has for its request."""

AT_ONCE = 200
"""Hints that are read before other things may happen."""

MODE = 0o660
"""Of a socket of our own: its group is that of nginx's user, where we may give it that."""

log = logging.getLogger("memfis")

Keepers = Callable[[str], Kept | None]


class WebSockets:
    """The sockets that the sites' settings `hints` and `purge` name."""

    def __init__(
        self,
        keepers: Keepers,
        purge: Purger,
        listeners: Listeners,
        passed: Sequence[socket.socket] = (),
    ) -> None:
        """Take `passed`, which systemd holds for us; `keepers` returns the keeper of a site.

        `purge` does what a `PURGE` asks for.
        The sockets are among `listeners`: without them files are kept all the same.
        """
        self.malformed: Counter[str] = Counter()
        """Datagrams that were dropped: not a hint, or one of no site of ours."""
        self._keepers = keepers
        self._purge = purge
        self._passed = passed
        self._listeners = listeners
        self._ours: set[str] = set()

    async def listen(self, sites: Iterable[Site]) -> None:
        """Listen at the sockets that `sites` name, and at no others."""
        wanted: dict[str, tuple[str, int, str | None]] = {}
        for site in sites:
            if site.php is not None and (path := site.php.hints) is not None:
                wanted.setdefault(f"hints {path}", (path, socket.SOCK_DGRAM, site.reader))
            if site.php is not None and (path := site.php.purge) is not None:
                wanted.setdefault(f"purge {path}", (path, socket.SOCK_STREAM, site.reader))
        for name in self._ours - wanted.keys():
            await self._listeners.drop(name)
        self._ours = set(wanted)
        for name, (path, kind, reader) in wanted.items():
            await self._listeners.want(name, partial(self._open, path, kind, reader))

    async def _open(
        self, path: str, kind: int, reader: str | None, stack: contextlib.AsyncExitStack
    ) -> None:
        listener = self._socket(stack, path, kind, reader)
        if kind == socket.SOCK_DGRAM:
            self._read_hints(stack, listener)
        else:
            server = await asyncio.start_unix_server(self._serve, sock=listener)
            stack.callback(server.close)

    def _socket(
        self, stack: contextlib.AsyncExitStack, path: str, kind: int, reader: str | None
    ) -> socket.socket:
        for passed in self._passed:
            if passed.type == kind and os.path.realpath(passed.getsockname()) == os.path.realpath(
                path
            ):
                ours = passed.dup()  # it is opened once more after a reload
                stack.callback(ours.close)
                ours.setblocking(False)
                return ours
        ours = socket.socket(socket.AF_UNIX, kind)
        stack.callback(ours.close)
        ours.setblocking(False)
        before = os.umask(0o777 & ~MODE)
        try:
            take_over(path, kind)
            ours.bind(path)
            stack.callback(_remove, path)
            if kind == socket.SOCK_STREAM:
                ours.listen(128)
        except OSError as error:
            raise UsageError(f"{path}: {reason_of(error)}") from error
        finally:
            os.umask(before)
        _give(path, reader)
        return ours

    # -- hints ---------------------------------------------------------------------------------

    def _read_hints(self, stack: contextlib.AsyncExitStack, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(listener.fileno(), self._hints, listener)
        stack.callback(loop.remove_reader, listener.fileno())

    def _hints(self, listener: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                datagram = listener.recv(hints.LONGEST)
            except OSError:
                return  # there are no more
            hint = hints.read(datagram)
            if hint is None:
                self.malformed["no hint"] += 1
                continue
            keeper = self._keepers(hint.site)
            if keeper is None or not keeper.hint(hint):
                self.malformed["no site with PHP"] += 1

    # -- PURGE ---------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and close."""
        try:
            async with asyncio.timeout(PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
            status, text = await self._answer(head)
            body = text.encode() + b"\n"
            writer.write(
                b"HTTP/1.1 %b\r\nContent-Type: text/plain; charset=utf-8\r\n"
                b"Content-Length: %d\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n%b"
                % (status, len(body), body)
            )
            async with asyncio.timeout(PATIENCE):
                await writer.drain()
        except (OSError, EOFError, asyncio.LimitOverrunError):
            return  # slow, gone, or no HTTP
        except asyncio.CancelledError:
            return  # the agent ends; Python 3.11 would tell of it with a traceback
        finally:
            writer.close()

    async def _answer(self, head: bytes) -> tuple[bytes, str]:
        line, _, rest = head.partition(b"\r\n")
        words = line.split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return b"400 Bad Request", "not HTTP/1"
        fields = BytesParser().parsebytes(rest, headersonly=True)
        if words[0] != b"PURGE":
            return b"405 Method Not Allowed", "only PURGE"
        keeper = self._keepers(str(fields.get("X-Memfis-Site", "")))
        if keeper is None:
            return b"404 Not Found", "no such site"
        try:
            if (told := patterns_in(dict(fields))) is not None:
                # By another host's agent, which tells all others, too.
                done = await keeper.purge([from_text(each) for each in told], dry_run=False)
            else:
                pattern = parse_target(words[1], str(fields.get("X-Purge-Method", "")))
                done = await self._purge(keeper, [pattern], dry_run=False)
        except (UsageError, msgspec.MsgspecError) as error:
            return b"400 Bad Request", str(error)
        except StoreError as error:
            log.error("%s: purge: %s", keeper.site.name, error)  # noqa: TRY400
            return b"503 Service Unavailable", "the store cannot be asked"
        except MemfisError as error:
            return b"500 Internal Server Error", str(error)
        number = done.rendered + done.files
        return b"200 OK", "1 page purged" if number == 1 else f"{number} pages purged"


def _give(path: str, reader: str | None) -> None:
    """Give the socket `path` to the group of nginx's user `reader`, where we are root."""
    if os.geteuid() != 0:
        return
    for name in (reader, "www-data", "nginx"):
        with contextlib.suppress(KeyError):
            if name is not None:
                group = pwd.getpwnam(name).pw_gid
                os.chown(path, -1, group, follow_symlinks=False)  # who else may write there?
                return


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
