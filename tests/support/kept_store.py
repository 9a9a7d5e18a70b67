"""A memcached whose memory is kept, as the role's unit starts and stops it."""

import signal
import subprocess
import sys
from pathlib import Path

from support.memcached import Memcached
from support.process import Process, listening


class KeptStore(Memcached):
    """memcached in `directory`, its memory on a tmpfs there, which is mounted meanwhile.

    Needs root, who may mount. All of it is root's, as on a host all is one user's.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.limit = 64
        self.item_size = "20m"
        self.memory = directory / "memory"
        self.kept = directory / "kept"
        self.kept.mkdir(mode=0o700)
        self._directory = directory
        self._mounted: list[Path] = []

    def mount(self, path: Path, mebibytes: int) -> None:
        """Mount a tmpfs at `path`, until `end`."""
        path.mkdir(exist_ok=True)
        options = f"size={mebibytes}m,mode=0700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "memfis", path], check=True)
        self._mounted.append(path)

    def memfis(self, what: str) -> subprocess.CompletedProcess[str]:
        """Run what the unit runs."""
        places = [f"--link={self.socket}", f"--memory={self.memory}", f"--kept={self.kept}"]
        limits = [f"--memory-limit={self.limit}", f"--max-item-size={self.item_size}"]
        command = [sys.executable, "-m", "memfis.memory", what, *places, *limits]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def say(self, what: str) -> str:
        """Run what the unit runs, and return the one line that it prints."""
        done = self.memfis(what)
        assert (done.returncode, done.stderr) == (0, "")
        [line] = done.stdout.splitlines()
        return line

    def prepare(self) -> str:
        """Do what comes before memcached's start."""
        return self.say("take")

    def boot(self) -> str:
        """Do what comes when the host has started; return what is said of its memory."""
        self.mount(self.memory, self.limit + 4)
        return self.say("load")

    def start(self) -> None:
        """Start it, with what was kept if that fits."""
        self.restart()

    def kill(self) -> None:
        """End it as a host does that loses power."""
        self._process.end(signal.SIGKILL)

    def restart(self, *, boot: bool = True) -> str:
        """Start it, and return what it says that it took; `boot`: its host, too, if it is down."""
        if boot and self.memory not in self._mounted:
            self.boot()
        self.say("take")
        lines = (self._directory / "start.env").read_text().splitlines()
        variables = dict(line.split("=", 1) for line in lines)
        option = variables["MEMFIS_KEEP"]
        command = [
            *("memcached", "-u", "root", "-s", variables["MEMFIS_SOCKET"], "-a", "0777", "-t", "1"),
            *("-m", str(self.limit), "-I", self.item_size, *([option] if option else [])),
        ]
        self._process = Process(command, self._directory / "memcached.log")
        self._process.start(lambda: listening(self.socket))
        return self.say("started")

    def stop(self, number: signal.Signals = signal.SIGUSR1) -> str:
        """Stop it, and return what is said of its memory."""
        self._process.end(number)
        said = self.say("stopped")
        for left in self._directory.glob("*.sock"):
            if left.name.startswith(("warm-", "fresh-")):
                left.unlink()
        return said

    def shut_down(self) -> str:
        """Do what comes when the host is shut down, after `stop`; return what is said."""
        said = self.say("save")
        self.unmount(self.memory)
        return said

    def unmount(self, path: Path) -> None:
        """Unmount what was mounted at `path`."""
        subprocess.run(["umount", path], check=True)
        self._mounted.remove(path)

    def end(self) -> None:
        """End it; nothing is kept, and nothing is mounted any more."""
        self.kill()
        for path in reversed(list(self._mounted)):
            self.unmount(path)
