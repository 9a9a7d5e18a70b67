"""Clients that ask a gateway for much, and others who want to be served meanwhile."""

import fcntl
import multiprocessing
import os
import resource
import selectors
import socket
import struct
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import cast

from support.gateway import Gateway
from support.raw import Raw

MIB = 1024 * 1024

LATE = 10.0
"""Seconds after which an answer counts as none."""


def resident(gateway: Gateway) -> int:
    """Return the bytes that the gateway's process has resident."""
    lines = Path(f"/proc/{gateway.pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


def worked(gateway: Gateway) -> float:
    """Return the seconds of processor time that the gateway has taken (clock_getcpuclockid(3))."""
    return time.clock_gettime(~gateway.pid << 3 | 2)


def put(gateway: Gateway, name: str, number: int, size: int) -> list[bytes]:
    """Write items of `size` bytes, and return their keys."""
    keys = [b"%b%d" % (name.encode(), n) for n in range(number)]
    with Raw(gateway.socket) as client:
        for key in keys:
            value = os.urandom(1024) * (size // 1024 + 1)
            said = client.ask(b"set %b 0 0 %d\r\n%b\r\n" % (key, size, value[:size]))
            assert said == b"STORED\r\n", said
    return keys


@contextmanager
def many_files(number: int) -> Iterator[int]:
    """Allow this process, and what it starts, that many open files, if it may; yield how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = min(number, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    try:
        yield allowed
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Stalled:
    """Clients that ask and do not read."""

    def __init__(self, path: Path, requests: Sequence[bytes]) -> None:
        self._sockets = []
        for request in requests:
            client = socket.socket(socket.AF_UNIX)
            client.connect(os.fspath(path))
            client.setblocking(False)
            client.send(request)
            self._sockets.append(client)

    def unread(self) -> list[int]:
        """Return how many bytes the kernel holds for each (FIONREAD)."""
        answers = [fcntl.ioctl(each, termios.FIONREAD, bytes(4)) for each in self._sockets]
        return [int(struct.unpack("i", answer)[0]) for answer in answers]

    def go(self) -> None:
        """Let all of them go."""
        for each in self._sockets:
            each.close()


class Readers:
    """Clients in a process of their own that read all that they are answered, at a rate."""

    def __init__(self, path: Path, requests: Sequence[bytes], rate: float = 0) -> None:
        """Send each client's request; `rate`: bytes a second of each; 0: as fast as it can."""
        context = multiprocessing.get_context("fork")
        self._stop = context.Event()
        self._answered, answered = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_read, args=(path, requests, rate, self._stop, answered), daemon=True
        )
        self._process.start()

    def wait(self, seconds: float) -> bool:
        """Return whether each has all within `seconds`."""
        self._process.join(seconds)
        return not self._process.is_alive()

    def go(self) -> list[bytes]:
        """Let all of them go; return how each one's answer ended."""
        self._stop.set()
        ends: list[bytes] = self._answered.recv()
        self._process.join()
        return ends


def _read(
    path: Path, requests: Sequence[bytes], rate: float, stop: Event, answered: Connection
) -> None:
    scratch = memoryview(bytearray(MIB))
    ends = [b""] * len(requests)
    came = [0] * len(requests)
    open_ = len(requests)
    with selectors.DefaultSelector() as selector:
        started = time.monotonic()
        for number, request in enumerate(requests):
            client = socket.socket(socket.AF_UNIX)
            client.connect(os.fspath(path))
            client.sendall(request + b"mn\r\n")
            client.setblocking(False)
            selector.register(client, selectors.EVENT_READ, number)
        while open_ and not stop.is_set():
            for key, _ in selector.select(0.1):
                number, client = key.data, cast(socket.socket, key.fileobj)
                most = MIB
                if rate:
                    most = int(rate * (time.monotonic() - started)) - came[number]
                    if most < 16_384:
                        continue
                try:
                    size = client.recv_into(scratch, min(most, MIB))
                except ConnectionResetError:
                    size = 0
                came[number] += size
                ends[number] = (ends[number] + bytes(scratch[max(0, size - 64) : size]))[-64:]
                if not size or ends[number].endswith(b"MN\r\n"):
                    selector.unregister(client)
                    client.close()
                    open_ -= 1
            if rate:
                time.sleep(0.01)
    answered.send(ends)


@dataclass
class Served:
    """What others got meanwhile."""

    seconds: list[float] = field(default_factory=list)
    """Until each answer."""
    work: list[float] = field(default_factory=list)
    """Seconds of processor time that the gateway took meanwhile, which others on the machine do
    not make longer."""
    refused: int = 0
    largest: int = 0
    """Bytes that the gateway had resident at most."""


def percentile(seconds: Sequence[float], part: float) -> float:
    """Return what `part` of `seconds` are at most."""
    return sorted(seconds)[min(len(seconds) - 1, int(part * len(seconds)))]


def others(gateway: Gateway, keys: Sequence[bytes], seconds: float, pause: float = 0.002) -> Served:
    """Ask for small pages in turn for `seconds`; return how that went."""
    served = Served()
    end = time.monotonic() + seconds
    with Raw(gateway.socket) as client:
        client.socket.settimeout(LATE)
        number = 0
        while time.monotonic() < end:
            started, used = time.monotonic(), worked(gateway)
            client.send(b"get %b\r\n" % keys[number % len(keys)])
            answer = client.socket.recv(65536)
            while not answer.endswith((b"END\r\n",)) and not answer.startswith(b"SERVER_ERROR"):
                answer += client.socket.recv(65536)
            served.seconds.append(time.monotonic() - started)
            served.work.append(worked(gateway) - used)
            served.refused += not answer.startswith(b"VALUE")
            if number % 50 == 0:
                served.largest = max(served.largest, resident(gateway))
            number += 1
            time.sleep(pause)
    return served
