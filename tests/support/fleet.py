"""Hosts that share a store, each with an nginx, an agent and a way to the store of its own."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.agent import Agent
from support.http import Connection
from support.memcached import Memcached
from support.nginx import Nginx, Site
from support.php import TOLD, PhpFpm, settings
from support.ports import free_port

# Says what the application has now, for all hosts, and notes that it was asked.
APPLICATION = """<?php
header('Content-Type: text/html; charset=utf-8');
$host = basename(dirname($_SERVER['DOCUMENT_ROOT']));
file_put_contents('%(asked)s', "$host {$_SERVER['REQUEST_URI']}\\n", FILE_APPEND | LOCK_EX);
$now = file_get_contents('%(database)s');
usleep((int) @file_get_contents('%(database)s.usleep'));
echo '<html><p>', $now, '</p></html>';
"""


class Link:
    """The way of one host to the store: it may be cut, and frozen."""

    def __init__(self, place: Path, behind: Path) -> None:
        self.socket = place
        self.address = f"unix:{place}"
        self._behind = behind
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._open = asyncio.Event()
        self._listener: socket.socket | None = None
        self._server: asyncio.Server | None = None

    def start(self) -> None:
        """Let all through."""
        self._thread.start()
        self._open.set()
        self._do(self._listen())

    def cut(self) -> None:
        """End all connections, and take no more."""
        self._do(self._close())

    def mend(self) -> None:
        """Let all through again after `cut`."""
        self._do(self._listen())

    def freeze(self) -> None:
        """Take connections, and pass on nothing."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def thaw(self) -> None:
        """Pass on what waited, and the rest."""
        self._loop.call_soon_threadsafe(self._open.set)

    def end(self) -> None:
        """End."""
        if self._thread.is_alive():
            self._do(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.socket, backlog=512)
        self.socket.chmod(0o777)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self.socket.unlink(missing_ok=True)
            self._server = None
        own = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not own]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, commands = await asyncio.open_unix_connection(self._behind)
        back = asyncio.create_task(self._pass(answers, writer))
        try:
            await self._pass(reader, commands)
        finally:
            back.cancel()
            commands.close()
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(2**18):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


class Host:
    """One of `hosts`, called `name`."""

    def __init__(
        self,
        directory: Path,
        name: str,
        hosts: Sequence[str],
        store: Memcached,
        php: PhpFpm,
        **fleet: Any,
    ) -> None:
        self.name, self.directory = name, directory / name
        self.directory.mkdir()
        self.directory.chmod(0o755)
        self.link = Link(self.directory / "store.sock", store.socket)
        self.port = free_port()
        sockets = {key: os.fspath(self.directory / f"{key}.sock") for key in ("hints", "purge")}
        self.site = Site(
            self.directory,
            self.link,  # type: ignore[arg-type]
            "site.example",
            listen=[f"unix:{self.directory}/site.example.public", f"127.0.0.1:{self.port}"],
            index=["index.php", "index.html"],
            default_type="text/html",
            charset="utf-8",
            php=settings(self.directory, php, **sockets),
        )
        self.site.write("index.php", (APPLICATION % _of(directory)).encode())
        self.site.write("file.txt", b"a file")
        self.nginx = Nginx(self.directory, self.site)
        table = {
            **{"name": "site.example", "root": os.fspath(self.site.root)},
            "origin": os.fspath(self.site.origin),
            **{
                key: self.site.settings[key]
                for key in ("index", "from_memory", "default_type", "charset")
            },
            **({"first_level": os.fspath(self.site.told)} if self.site.told else {}),
            "php": {key: self.site.settings["php"][key] for key in TOLD},
        }
        own = {"store": f"memcached://{self.link.socket}"}
        self.fleet = {"host": name, "hosts": list(hosts), "publisher": hosts[0], **fleet}
        self.agent = Agent(self.directory, own, [table], fleet=self.fleet)

    def start(self) -> None:
        """Start it, but for its agent."""
        self.link.start()
        self.nginx.start()

    def start_agent(self) -> None:
        """Start its agent, until that has begun."""
        self.agent.start(lambda: bool(self.agent.lines("site.example")))
        for key in ("hints", "purge"):
            (self.directory / f"{key}.sock").chmod(0o666)

    def end(self) -> None:
        """End all of it."""
        self.agent.end()
        self.nginx.end()
        self.link.end()

    def get(self, target: str) -> tuple[str | None, bytes]:
        """Return where the answer came from, and its body, which is whole."""
        answer = self.site.get(target)
        assert answer.status == 200, answer
        return answer.source, answer.body

    def purge(self, target: str) -> int:
        """Purge as an application does, and return the status."""
        with Connection(("127.0.0.1", self.port)) as connection:
            return connection.ask(target, "PURGE").status


def _of(directory: Path) -> dict[str, Path]:
    return {"asked": directory / "asked", "database": directory / "database"}


class Hosts:
    """All of them, the store and the application."""

    def __init__(self, directory: Path, php: PhpFpm, names: Sequence[str], **fleet: Any) -> None:
        self.directory = directory
        self.store = Memcached(directory)
        self.say("0")
        (directory / "asked").touch()
        (directory / "asked").chmod(0o666)
        self.all = [Host(directory, name, names, self.store, php, **fleet) for name in names]

    def say(self, text: str) -> None:
        """Let the application say `text` from now on."""
        (self.directory / "database.new").write_text(text)
        os.replace(self.directory / "database.new", self.directory / "database")

    def asked(self, target: str) -> list[str]:
        """Return at which host PHP was asked for `target`, each time."""
        lines = (self.directory / "asked").read_text().splitlines()
        return [
            host for host, _, asked in (line.partition(" ") for line in lines) if asked == target
        ]


@contextmanager
def fleet(directory: Path, php: PhpFpm, *names: str, **settings: Any) -> Iterator[Hosts]:
    """Within, the hosts called `names` share a store; the first publishes."""
    hosts = Hosts(directory, php, names, **settings)
    hosts.store.start()
    try:
        for host in hosts.all:
            host.start()
        for host in hosts.all:
            host.start_agent()
        yield hosts
    finally:
        for host in hosts.all:
            host.end()
        hosts.store.end()
