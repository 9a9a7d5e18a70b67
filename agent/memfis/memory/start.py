"""The embedded store's start and stop, with the memory that it keeps."""

import json
import os
import re
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from memfis.errors import UnfitMemoryError
from memfis.memory.kept import META, KeptMemory
from memfis.memory.mark import Terms, check_terms
from memfis.service import instance

PATIENCE = 10.0
"""Seconds that memcached has to listen."""


@dataclass(frozen=True)
class Places:
    """Where the parts are. The directories exist, and nobody else may write to them."""

    link: Path
    """Where everybody finds the store."""
    memory: Path
    """The tmpfs of memcached's memory."""
    kept: Path
    """Where the memory is while memcached does not run."""

    @property
    def file(self) -> Path:
        """Memcached's memory."""
        return self.memory / "memory"

    @property
    def began(self) -> Path:
        """The terms by which memcached was started."""
        return self.memory / "began"

    @property
    def variables(self) -> Path:
        """Environment of memcached's unit: where it is to listen, and what is its memory."""
        return self.link.parent / "start.env"

    @property
    def told(self) -> Path:
        """What the start took, for people."""
        return self.link.parent / "start.txt"


def version_of(program: str) -> str:
    """Return the version that the memcached at `program` says; raises UnfitMemoryError."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnfitMemoryError(f"{program} does not say its version") from error
    found = re.search(r"\d\S*", done.stdout)
    if found is None:
        raise UnfitMemoryError(f"{program} does not say its version, but {done.stdout!r}")
    return found[0]


def before_start(places: Places, program: str, memory: int, item_size: str) -> str:
    """Prepare a start of `program` with `memory` MiB; return what it will have, for people.

    What is kept is at hand for memcached afterwards, or gone.
    """
    kept = KeptMemory(places.kept)
    try:
        terms = Terms(version_of(program), memory, item_size)
        _check_room(places.memory, memory)
        for left in places.memory.iterdir():  # of a stop that was broken off
            left.unlink()
        places.began.write_text(json.dumps(asdict(terms)))
    except (UnfitMemoryError, OSError) as error:
        kept.remove()
        _prepare(places, None, warm=False)
        return _tell(places, f"started empty, and nothing will be kept: {_reason(error)}")
    try:
        said = f"memory kept: {kept.take(places.file, terms)}"
        warm = True
    except (UnfitMemoryError, OSError) as error:
        said = f"started empty: {_reason(error)}"
        warm = False
    _prepare(places, places.file, warm=warm)
    return _tell(places, said)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    return str(error)


def _check_room(directory: Path, memory: int) -> None:
    """Raise UnfitMemoryError where `memory` MiB have no room on a tmpfs at `directory`."""
    if not os.path.ismount(directory):
        raise UnfitMemoryError(f"{directory} is no file system of its own")
    figures = os.statvfs(directory)
    room = figures.f_blocks * figures.f_frsize
    if room < memory * 1024**2:
        raise UnfitMemoryError(f"{directory} has room for {room} bytes only")


def _prepare(places: Places, memory: Path | None, *, warm: bool) -> None:
    """Write what memcached's unit starts it with, and let the link lead to where it will listen."""
    listens = instance.new_name(places.link, warm=warm)
    option = f"--memory-file={memory}" if memory else ""
    places.variables.write_text(f"MEMFIS_SOCKET={listens}\nMEMFIS_KEEP={option}\n")
    instance.point(places.link, listens.name)


def _tell(places: Places, text: str) -> str:
    with suppress(OSError):
        places.told.write_text(text + "\n")
    return text


def after_start(places: Places) -> str:
    """Wait until memcached listens; return what it has of what was kept, for people."""
    said = places.told.read_text().strip()
    found = instance.listening(places.link)
    if found is None or not instance.is_warm(found):
        return said
    items = _items(places.link)
    if items is None:
        return said
    if items == 0:
        return _tell(places, "started empty: memcached took nothing of the kept memory")
    return _tell(places, f"{said}; {items:,} items")


def _items(link: Path) -> int | None:
    """Return how many items the store has once it listens; None where it does not."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as asked:
                asked.settimeout(PATIENCE)
                asked.connect(str(link))
                asked.sendall(b"stats\r\n")
                answer = b""
                while not answer.endswith(b"END\r\n") and (more := asked.recv(65536)):
                    answer += more
            found = re.search(rb"STAT curr_items (\d+)", answer)
            return int(found[1]) if found else None
        except OSError:
            if time.monotonic() > end:
                return None
            time.sleep(0.02)


def after_stop(places: Places) -> str:
    """Keep what memcached left whole, and free its memory; return what was done, for people."""
    try:
        terms = _began(places)
        return f"memory: {KeptMemory(places.kept).write(places.file, terms)}"
    except UnfitMemoryError as error:
        return f"the next start is empty: {error}"
    finally:
        for path in (places.file, places.file.with_name(places.file.name + META)):
            with suppress(OSError):
                path.unlink()


def _began(places: Places) -> Terms:
    """Return the terms by which the running store was started; raises UnfitMemoryError."""
    try:
        return Terms(**json.loads(places.began.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UnfitMemoryError("memcached was started without a memory to keep") from error


def check_restart(places: Places, program: str, memory: int, item_size: str) -> None:
    """Raise UnfitMemoryError where a restart of the running store, as it is to be, loses items."""
    check_terms(_began(places), Terms(version_of(program), memory, item_size))
    try:
        used = places.file.stat().st_blocks * 512
        figures = os.statvfs(places.kept)
    except OSError as error:
        raise UnfitMemoryError(_reason(error)) from error
    room = figures.f_bavail * figures.f_frsize
    if room < used:
        raise UnfitMemoryError(f"{places.kept} has room for {room} bytes, and {used} are in use")
