"""The embedded store's start and stop, and its host's, with the memory that outlives them.

While the host runs the memory stays on its tmpfs, also when the store does not: only a shutdown
copies it to the disk. memcached removes what it wrote beside the memory when it takes the memory
up, so one that it did not leave whole is known by that.
"""

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
from memfis.layout.paths import size as shown_size
from memfis.memory.kept import META, KeptMemory
from memfis.memory.mark import Terms, check_terms, check_time
from memfis.service import instance

PATIENCE = 10.0
"""Seconds that memcached has to listen."""

MARGIN = 0.02
"""Seconds that a second is waited for too long: memcached starts in the next one for sure."""

UNTOLD = "memcached did not say what its memory holds: it was killed, or has failed"


@dataclass(frozen=True)
class Places:
    """Where the parts are. The directories exist, and nobody else may write to them."""

    link: Path
    """Where everybody finds the store."""
    memory: Path
    """The tmpfs of memcached's memory."""
    kept: Path
    """Where the memory is while the host is down."""

    @property
    def file(self) -> Path:
        """The memory of memcached."""
        return self.memory / "memory"

    @property
    def meta(self) -> Path:
        """What memcached says of it when it has left it whole."""
        return self.memory / f"memory{META}"

    @property
    def began(self) -> Path:
        """The terms by which memcached was started, and when it stopped."""
        return self.memory / "began"

    @property
    def lost(self) -> Path:
        """Why there is no memory."""
        return self.memory / "lost"

    @property
    def variables(self) -> Path:
        """Environment of memcached's unit: where it is to listen, and what is its memory."""
        return self.link.parent / "start.env"

    @property
    def told(self) -> Path:
        """What the start took, for people."""
        return self.link.parent / "start.txt"

    def clear(self) -> None:
        """Free the memory."""
        for path in (self.file, self.meta, self.began):
            with suppress(OSError):
                path.unlink()


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


# -- the host -----------------------------------------------------------------------------------


def load(places: Places, program: str, memory: int, item_size: str) -> str:
    """Move what is kept on the disk to the tmpfs, and return what that is, for people.

    Nothing is on the disk afterwards.
    """
    kept = KeptMemory(places.kept)
    try:
        terms = Terms(version_of(program), memory, item_size)
        _check_room(places.memory, memory)
        places.clear()
        stopped = kept.take(places.file, terms)
        _write_began(places, terms, stopped)
    except (UnfitMemoryError, OSError) as error:
        with suppress(OSError):
            kept.remove()
        return _lose(places, _reason(error))
    return f"memory: {shown_size(places.file.stat().st_blocks * 512)} read"


def save(places: Places) -> str:
    """Copy the memory of a store that has stopped to the disk; return what was done, for people."""
    try:
        terms, stopped = _left(places)
        written = KeptMemory(places.kept).write(places.file, terms, stopped)
    except (UnfitMemoryError, OSError) as error:
        return f"the next start is empty: {_reason(error)}"
    finally:
        places.clear()
    return f"memory: {written}"


# -- the store ----------------------------------------------------------------------------------


def before_start(places: Places, program: str, memory: int, item_size: str) -> str:
    """Prepare a start of `program` with `memory` MiB; return what it will have, for people."""
    try:
        terms = Terms(version_of(program), memory, item_size)
        _check_room(places.memory, memory)
    except (UnfitMemoryError, OSError) as error:
        places.clear()
        _prepare(places, None, warm=False)
        return _tell(places, f"started empty, and nothing will be kept: {_reason(error)}")
    try:
        left, stopped = _left(places)
        check_terms(left, terms)
        check_time(stopped)
        _wait_for_next_second(places.meta.read_text("latin-1"), stopped)
        shown = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(stopped))
        said = f"memory kept: {shown_size(places.file.stat().st_blocks * 512)} of {shown}"
        warm = True
    except (UnfitMemoryError, OSError) as error:
        places.clear()
        said = f"started empty: {_reason(error)}"
        warm = False
    with suppress(OSError):
        places.lost.unlink()
    _write_began(places, terms, None)
    _prepare(places, places.file, warm=warm)
    return _tell(places, said)


def _wait_for_next_second(meta: str, stopped: float) -> None:
    """Wait until it is another second than that in which memcached `stopped`, as it says in `meta`.

    Its clock has whole seconds, and of a memory that it left in the same one it uses nothing.
    """
    found = re.search(r"^Kstop_time (\d+)$", meta, re.MULTILINE)
    second = int(found[1]) if found else int(stopped)
    time.sleep(max(0.0, min(second, int(stopped)) + 1 + MARGIN - time.time()))


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


def after_stop(places: Places) -> str:
    """Note when memcached stopped, or free a memory that it did not leave whole; return which."""
    try:
        terms, _ = _began(places)
        if _is_whole(places):
            _write_began(places, terms, time.time())
            return f"memory: {shown_size(places.file.stat().st_blocks * 512)} stay"
        reason = UNTOLD
    except (UnfitMemoryError, OSError) as error:
        reason = _reason(error)
    places.clear()
    return f"the next start is empty: {_lose(places, reason)}"


def _is_whole(places: Places) -> bool:
    """Whether memcached has left its memory whole, or did not come so far as to take it up.

    It removes what it said of its memory when it takes that up, and listens only afterwards.
    """
    if not (places.file.exists() and places.meta.exists()):
        return False
    socket = instance.listening(places.link)
    came_up = socket is not None and socket.exists()
    return not came_up or places.meta.stat().st_mtime_ns > places.began.stat().st_mtime_ns


def check_restart(places: Places, program: str, memory: int, item_size: str) -> None:
    """Raise UnfitMemoryError where a restart of the running store, as it is to be, loses items.

    There has to be room on the disk, too, as if the host were shut down.
    """
    terms, _ = _began(places)
    check_terms(terms, Terms(version_of(program), memory, item_size))
    try:
        used = places.file.stat().st_blocks * 512
        figures = os.statvfs(places.kept)
    except OSError as error:
        raise UnfitMemoryError(_reason(error)) from error
    room = figures.f_bavail * figures.f_frsize
    if room < used:
        raise UnfitMemoryError(f"{places.kept} has room for {room} bytes, and {used} are in use")


# -- parts --------------------------------------------------------------------------------------


def _left(places: Places) -> tuple[Terms, float]:
    """Return the terms of a memory that is whole, and when memcached stopped that left it.

    Raises UnfitMemoryError where there is none.
    """
    if not places.file.exists():
        try:
            reason = places.lost.read_text()
        except OSError:
            reason = "no memory is kept"
        raise UnfitMemoryError(reason)
    terms, stopped = _began(places)
    if stopped is None or not places.meta.exists():
        raise UnfitMemoryError(UNTOLD)
    return terms, stopped


def _began(places: Places) -> tuple[Terms, float | None]:
    """Return the terms of the memory, and when memcached stopped; raises UnfitMemoryError."""
    try:
        noted = json.loads(places.began.read_text())
        return Terms(**noted["terms"]), noted["stopped"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnfitMemoryError("memcached was started without a memory to keep") from error


def _write_began(places: Places, terms: Terms, stopped: float | None) -> None:
    places.began.write_text(json.dumps({"terms": asdict(terms), "stopped": stopped}))


def _lose(places: Places, reason: str) -> str:
    """Note for the next start why there is no memory; return that."""
    with suppress(OSError):
        places.lost.write_text(reason)
    return reason


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
