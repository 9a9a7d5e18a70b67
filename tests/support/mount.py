"""A site that `memfis mount` makes a filesystem of, in a process of its own."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM, Signals

from support.command import COMMAND, environment
from support.process import PATIENCE, Process, wait_for


class Mount:
    """A mount of `site` in `directory`, in the foreground; several may be of one site."""

    def __init__(
        self, directory: Path, store: Path, *flags: str, site: str = "site.example", name: str = "m"
    ) -> None:
        self.path = directory / name
        self.path.mkdir(exist_ok=True)
        self.log = directory / f"{name}.log"
        if os.environ.get("MEMFIS_TEST_STORE") == "gateway":
            flags = ("--batch", "0", *flags)  # those tests look right after a close
        self._flags = ("--site", site, "--store", f"memcached://{store}", *flags)
        self._process = Process(
            [*COMMAND, "mount", "--foreground", *self._flags, self.path], self.log, environment()
        )

    def start(self) -> None:
        """Mount it, and wait until it answers."""
        self._process.start(lambda: os.path.ismount(self.path))

    def unmount(self, *command: str) -> None:
        """Unmount it by `command`, and wait until its process has ended."""
        subprocess.run([*(command or ("fusermount3", "-u")), str(self.path)], check=True)
        self.ended()

    def signal(self, number: Signals) -> None:
        """Send a signal to its process, and wait until that has ended."""
        self._process.signal(number)
        self.ended()

    def freeze(self) -> None:
        """Let its process answer nothing, until it is thawed."""
        self._process.signal(SIGSTOP)

    def thaw(self) -> None:
        """Let its process go on."""
        self._process.signal(SIGCONT)

    def kill(self) -> None:
        """Let its process end without a word."""
        self._process.kill_alone()

    def ended(self) -> None:
        """Wait until its process has ended."""
        wait_for(lambda: not self._process.running, "the mount to end")

    def said(self) -> str:
        """Return what it logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def end(self) -> None:
        """Unmount it whatever happened, and end its process; it must not have failed inside."""
        subprocess.run(["umount", "-l", str(self.path)], capture_output=True, check=False)
        if os.geteuid() != 0:
            command = ["fusermount3", "-u", "-z", str(self.path)]
            subprocess.run(command, capture_output=True, check=False)
        if self._process.running:
            self._process.end(SIGTERM)
        assert "Traceback" not in self.said(), self.said()
        assert "Error(" not in self.said(), self.said()


@contextmanager
def mounted(
    directory: Path, store: Path, *flags: str, site: str = "site.example", name: str = "m"
) -> Iterator[Mount]:
    """Mount a site for a while."""
    mount = Mount(directory, store, *flags, site=site, name=name)
    try:
        mount.start()
        yield mount
    finally:
        mount.end()


def run(*command: str | Path, cwd: Path | None = None, timeout: float = 10 * PATIENCE) -> str:
    """Run a program that must succeed and say nothing on stderr; return what it printed."""
    done = subprocess.run(
        [os.fspath(word) for word in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=timeout,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{command[0]}: {done}"
    return done.stdout
