"""A real memcached at a unix socket."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from pymemcache.client.base import Client

from support.process import Process, listening, unprivileged

# As many as the role's memfis_store_threads has by itself.
THREADS = min(max((os.cpu_count() or 1) // 2, 1), 4)


@cache
def small_items() -> tuple[str, ...]:
    """Return the options of a memcached that takes no item of more than 16 KiB.

    It wants no larger chunks then, either. It is told so in bytes until 1.6.18 (Debian 12), and in
    KiB in 1.6.24 (Ubuntu 24.04) and later.
    """
    command = ["memcached", "--version"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    version = tuple(map(int, re.findall(r"\d+", said)[:3]))
    largest = 16 * 1024 if version <= (1, 6, 18) else 16
    return ("-I", "16k", "-o", f"slab_chunk_max={largest}")


class Memcached:
    """memcached in `directory`; ends with `end`, but may be killed, frozen and started before."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.socket = directory / "memcached.sock"
        user = unprivileged()
        self._process = Process(
            [
                *("memcached", "-s", self.socket, "-a", "0777", "-t", str(THREADS), "-m", "64"),
                *("-I", "20m", "-c", "1024"),
                *(("-u", user.pw_name) if user else ()),
                *options,
            ],
            directory / "memcached.log",
        )

    @property
    def address(self) -> str:
        """The store as nginx names it in an upstream."""
        return f"unix:{self.socket}"

    def start(self) -> None:
        """Start it, empty."""
        self.socket.unlink(missing_ok=True)
        self._process.start(lambda: listening(self.socket))

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def end(self) -> None:
        """End it, also when it is frozen."""
        self._process.end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it accept connections and answer nothing."""
        self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        self._process.signal(signal.SIGCONT)

    @contextmanager
    def client(self) -> Iterator[Client]:
        """Yield a connection."""
        # It waits for each answer: what comes next may go by another connection.
        client = Client(
            os.fspath(self.socket), connect_timeout=10, timeout=10, default_noreply=False
        )
        try:
            yield client
        finally:
            client.close()

    def put(self, key: bytes, value: bytes, flags: int = 0, expire: int = 0) -> None:
        """Store one item."""
        with self.client() as client:
            assert client.set(key, value, expire=expire, noreply=False, flags=flags)

    def stats(self) -> dict[bytes, int | bytes]:
        """Return memcached's `stats`."""
        with self.client() as client:
            return dict(client.stats())

    def items(self) -> set[bytes]:
        """Return a line for each item: key, expiry, size, and a number that every write changes.

        By `hash`: `all` leaves out what readers are moving within the LRU just then.
        """
        with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as answer:
            connection.settimeout(10)
            connection.connect(os.fspath(self.socket))
            command = b"lru_crawler metadump hash\r\n"
            connection.sendall(command)
            found = set()
            for line in iter(answer.readline, b"END\r\n"):
                if line.startswith(b"BUSY "):  # somebody else lists: one at a time
                    time.sleep(0.01)
                    connection.sendall(command)
                    continue
                assert line.startswith(b"key="), line
                names = (b"key", b"exp", b"cas", b"size")
                found.add(b" ".join(w for w in line.split() if w.split(b"=")[0] in names))
            return found
