"""A history: a web root, a store and an agent, what happens to them, and what must come of it."""

import os
import pprint
import signal
import time
import traceback
import zlib
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

from histories import model
from histories.operations import Operation, Tree
from support.command import in_background, memfis, memfis_json
from support.directory import reachable_directory
from support.memcached import Memcached
from support.process import unprivileged, wait_for

STILL = 120
"""Pages that nothing happens to, so that no sync has to delete half of the site and refuses to."""


class History(NamedTuple):
    """Plain values: it can be printed, and read by `ast.literal_eval`."""

    end: str
    """How the store becomes equal: `sync` (agent stopped), `sync beside the agent`, `sync
    --checksum` (agent stopped), or `agent` (by itself)."""
    tree: list[Operation]
    """Makes the web root, before the agent is started."""
    events: list[Operation]
    """Operations on the tree, and what else may happen: the methods of `World`."""

    def shown(self) -> str:
        """Return the history as a Python literal."""
        return pprint.pformat(tuple(self), width=100)


class World:
    """A tree, a store and an agent. Every public method is an event."""

    def __init__(self, directory: Path) -> None:
        user = unprivileged()
        self._directory = directory
        self._reader = model.Reader(owner=user is None)
        self._store = Memcached(directory)
        self._store_runs = False
        self._tree = Tree(os.fsencode(directory.resolve() / "root"))
        for number in range(STILL):
            self._tree.write(b"still/%d.html" % number, 10, "text")
        self._config = directory / "memfis.toml"
        self._config.write_text(
            f'store = "memcached://{self._store.socket}"\nruntime_directory = "{directory}/run"\n'
            + (f'reader = "{user.pw_name}"\n' if user else "")
            + f'max_page = {model.MAX_PAGE}\n[[sites]]\nname = "{model.SITE.decode()}"\n'
            f'root = "{directory}/root"\nexclude = {list(model.EXCLUDE)}\n'
        )
        self._agent = in_background(directory, "agent", "--config", self._config)
        self._agent_runs = False
        self._killed: list[int] = []

    def happen(self, event: Operation) -> None:
        """Let `event` happen, to the tree if it is not one of the world's own."""
        name, *arguments = event
        if hasattr(self, name):
            getattr(self, name)(*arguments)
        else:
            self._tree.do(event)

    def pause(self, milliseconds: int) -> None:
        time.sleep(milliseconds / 1000)

    def start_agent(self) -> None:
        """Start the agent, and go on when it is about to begin its first sync."""
        if not self._agent_runs:
            before = self._log_size()
            self._agent.start(lambda: self._log_size() > before)
            self._agent_runs = True

    def kill_agent(self) -> None:
        """Kill the agent's first process; what that has started must see to its own end."""
        if self._agent_runs:
            self._killed.append(self._agent.kill_alone())
            self._agent_runs = False

    def start_store(self) -> None:
        if not self._store_runs:
            self._store.start()
            self._store_runs = True

    def kill_store(self) -> None:
        self._store.end()
        self._store_runs = False

    def flush(self) -> None:
        with suppress(OSError), self._store.client() as client:
            client.flush_all()

    def lose(self, kind: str, number: int) -> None:
        """Delete one item: a `page`, a `directory`, or the `site`'s own."""
        with suppress(OSError), self._store.client() as client:
            for key in self._pick(kind, number):
                client.delete(key, noreply=False)

    def deface(self, number: int, size: int, flags: str) -> None:
        """Overwrite a page by foreign bytes: flags `none`, or `own`, as if it were a page."""
        value = os.urandom(size)
        number_of = {"none": 0, "own": zlib.crc32(value) & 0xFFFFFFFC}
        with suppress(OSError), self._store.client() as client:
            for key in self._pick("page", number):
                client.replace(key, value, flags=number_of[flags], noreply=False)

    def _pick(self, kind: str, number: int) -> list[bytes]:
        scheme = {"page": b"memfis://", "directory": b"memfis-dir://", "site": b"memfis-site://"}
        found = [key for key in model.keys(self._store) if key.startswith(scheme[kind])]
        return found[number % len(found) :][:1] if found else []

    def _log_size(self) -> int:
        return self._agent.log.stat().st_size if self._agent.log.exists() else 0

    def _said(self) -> str:
        return self._agent.log.read_text(errors="replace") if self._agent.log.exists() else ""

    def _differences(self) -> list[str]:
        return model.differences(self._tree.root, self._reader, self._store)

    def _settle(self, end: str) -> None:
        """Let the store become equal to the web root, on which nothing happens any more."""
        assert self._agent.running == self._agent_runs, "the agent ended by itself"
        self.start_store()
        if end in {"agent", "sync beside the agent"}:
            self.start_agent()
        else:
            self._agent.end(signal.SIGTERM)
        if end == "agent":
            with suppress(AssertionError):
                wait_for(lambda: not self._differences(), "the agent")
            return
        more = ["--checksum"] if end == "sync --checksum" else []
        done = memfis("sync", "--config", self._config, "--max-delete", "100%", *more)
        assert done.returncode in {0, 1}, done.stderr  # 1: some files cannot be in memory

    def _problems(self) -> list[str]:
        """Return what is wrong at the end, a line each."""
        wrong = self._differences()
        document: Any = memfis_json("verify", "--config", self._config)
        wrong += [f"verify: {each}" for each in document["sites"][0]["differences"]]
        if "Traceback" in self._said():
            wrong.append("the agent showed a traceback")
        return wrong

    def _close(self) -> None:
        self._agent.end(signal.SIGKILL)
        for group in self._killed:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        self._store.end()
        self._tree.close()


def run(history: History) -> list[str]:
    """Let `history` happen; return what is wrong at its end, and what the agent said."""
    with reachable_directory() as directory, ExitStack() as stack:
        world = World(directory)
        stack.callback(world._close)
        try:
            for operation in history.tree:
                world.happen(operation)
            world.start_store()
            world.start_agent()
            for event in history.events:
                world.happen(event)
            world._settle(history.end)
            wrong = world._problems()
        except Exception as error:
            wrong = traceback.format_exception(error)
        return [*wrong, "the agent said:", *world._said().splitlines()[-30:]] if wrong else []
