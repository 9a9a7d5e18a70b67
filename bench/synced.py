"""A store, and the `memfis sync` that fills it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from commands import cores, memfis, seconds
from support.command import environment
from support.memcached import Memcached
from support.process import unprivileged

SITE = "bench"


def configure(
    directory: Path, store: Memcached, root: Path, told: Path | None = None, **settings: int
) -> Path:
    """Write the agent's configuration for one site, as the role has it; return its path.

    `told`: the socket of an nginx that reads it by Lua.
    """
    user = unprivileged()
    lines = [
        f'store = "memcached://{store.socket}"',
        f'runtime_directory = "{directory}/run"',
        *([f'reader = "{user.pw_name}"'] if user else []),
        *([f'first_level = "{told}"'] if told else []),
        f'[[sites]]\nname = "{SITE}"\nroot = "{root}"',
        *(['from_memory = "lua"'] if told else []),
        *(f"{name} = {number}" for name, number in settings.items()),
    ]
    path = directory / "memfis.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


class Synced:
    """A store, and the `memfis sync` that fills it from a web root."""

    def __init__(self, directory: Path, memory: int, root: Path, **settings: int) -> None:
        self.store = Memcached(directory, "-m", str(memory))
        self.config = configure(directory, self.store, root, None, **settings)

    def command(self, *flags: str) -> list[str]:
        """Return the command line of `memfis sync`."""
        return memfis("sync", "--config", self.config, *flags)

    def report(self) -> dict[str, Any]:
        """Sync, and return what memfis says it did."""
        done = subprocess.run(
            self.command("--json"), check=True, capture_output=True, env=environment()
        )
        report: dict[str, Any] = json.loads(done.stdout)["sites"][0]
        return report

    def empty(self) -> None:
        """Start the store anew."""
        self.store.end()
        self.store.start()

    def fill(self, command: Sequence[str], files: int) -> float:
        """Return the seconds that `command` takes to put `files` pages into an empty store."""
        self.empty()
        took = seconds(command)
        stats = self.store.stats()
        held, evicted = int(stats[b"curr_items"]), int(stats[b"evictions"])
        if held < files or evicted:
            sys.exit(f"{' '.join(command)}: {held} items, {evicted} evicted, for {files} files")
        return took

    def ways(self) -> dict[str, list[str]]:
        """Return memfis with one process a core and with one, as far as it can be told to."""
        said = subprocess.run(memfis("sync", "--help"), check=True, capture_output=True).stdout
        if b"--jobs" not in said:
            return {"memfis sync": self.command()}
        return {
            f"memfis sync, {jobs} process{'es' if jobs > 1 else ''}": self.command(
                "--jobs", str(jobs)
            )
            for jobs in dict.fromkeys((cores(), 1))
        }


@contextmanager
def synced(directory: Path, memory: int, root: Path, **settings: int) -> Iterator[Synced]:
    """Yield a running, empty store of `memory` MiB for `root`."""
    site = Synced(directory, memory, root, **settings)
    site.store.start()
    try:
        yield site
    finally:
        site.store.end()
