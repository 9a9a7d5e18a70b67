"""A history: a web root, a store and an agent, what happens to them, and what must come of it."""

import os
import pprint
import signal
import time
import traceback
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

from histories import model
from histories.anew import unlike
from histories.losses import Losses
from histories.operations import Operation
from histories.roots import Root
from histories.secrets import Secrets, secret_in
from support.agent import toml
from support.command import in_background, memfis, memfis_json
from support.directory import reachable_directory
from support.memcached import Memcached
from support.mounting import own_namespace
from support.process import PATIENCE, unprivileged, wait_for

STILL = 40
"""Pages that nothing but what happens to the whole web root happens to: twice what may go at once
without being held."""

GRACE = 1
"""Seconds that deletions are held."""

BOUND = 5.0
"""Seconds after which an agent that has synced the site must have withdrawn what was closed. A
limit for a machine with much to do, far below that of the next look at everything."""


DEATHS = ("kill_agent", "start_agent", "kill_store", "start_store")


class History(NamedTuple):
    """Plain values: it can be printed, and read by `ast.literal_eval`."""

    kind: str
    """`usual`, or `pinned`: every file has the same time of modification."""
    end: str
    """How the store becomes equal: `sync` (agent stopped), `sync beside the agent`, `sync
    --checksum` (agent stopped), or `agent` (by itself)."""
    tree: list[Operation]
    """Makes the web root, before the agent is started."""
    events: list[Operation]
    """Operations on the tree, and what else may happen: the methods of `World`."""
    reader: str = "memcached_pass"
    """What takes the site's pages from memory: `lua` wants heads beside them."""

    def shown(self) -> str:
        """Return the history as a Python literal."""
        return pprint.pformat(tuple(self), width=100)


class World(Losses):
    """A tree, a store and an agent. Every public method is an event."""

    def __init__(self, directory: Path, *, pinned: bool, reader: str) -> None:
        user = unprivileged()
        self._directory = directory
        self._user = user.pw_name if user else None
        self._reader = model.Reader(user)
        self._from_memory = reader
        super().__init__(Memcached(directory))
        self._store_runs = False
        (directory / "site").mkdir()
        self._tree = Root(os.fsencode(directory.resolve() / "site/srv"), user, pinned=pinned)
        for number in range(STILL):
            self._tree.write(b"still/%d.html" % number, 10, "text")
        self._exclude: tuple[str, ...] = model.EXCLUSIONS[0]
        self._config = self._configure(directory / "memfis.toml", self._store)
        self._agent = in_background(directory, "agent", "--config", self._config)
        self._agent_runs = self._has_synced = False
        self._killed: list[int] = []
        self._secrets = Secrets(self._store)

    def _configure(self, path: Path, store: Memcached) -> Path:
        """Write the settings of now with the store `store`, as a whole at once; return `path`."""
        new = path.with_suffix(".new")
        settings = {
            "store": f"memcached://{store.socket}",
            "runtime_directory": f"{store.socket.parent}/run",
            "max_page": model.MAX_PAGE,
            "delete_grace": GRACE,
            **({"reader": self._user} if self._user else {}),
        }
        site = {
            "name": model.SITE.decode(),
            "root": os.fsdecode(self._tree.given),
            "exclude": self._exclude,
            "from_memory": self._from_memory,
        }
        new.write_text(toml(settings, [site]))
        new.rename(path)
        return path

    def happen(self, event: Operation) -> None:
        """Let `event` happen, to the tree if it is not one of the world's own."""
        if event[0] in DEATHS:
            self._secrets.forget()
        if event[0] in {"pause", "quiet", *DEATHS}:
            self._do(event)
            return
        with self._secrets.changing(self._closed):
            self._do(event)
        if event[0] == "swap":  # a name that is used for a moment shows what was closed by another
            self._secrets.forget()

    def _do(self, event: Operation) -> None:
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
            self._agent_runs, self._has_synced = True, False

    def kill_agent(self) -> None:
        """Kill the agent's first process; what that has started must see to its own end."""
        if self._agent_runs:
            self._killed.append(self._agent.kill_alone())
            self._agent_runs = False

    def exclude(self, number: int) -> None:
        """Change the patterns of what is not published, and have the agent read them."""
        self._exclude = model.EXCLUSIONS[number]
        self._configure(self._config, self._store)
        if self._agent_runs:
            os.kill(self._agent.pid, signal.SIGHUP)

    def conceal(self, path: bytes, closing: Operation, when: str, milliseconds: int) -> None:
        """Give a file a content that nobody else has, and let `closing` happen, maybe to close it.

        `when` the content is written: `before`, so that it is public for some milliseconds, or
        `after`.
        """
        secret = self._secrets.new()
        directory, slash, name = path.rpartition(b"/")
        self._secrets.watch([model.file_key(b"/" + directory + slash, name)])
        put: Operation = ("put", path, secret + b" is what nobody may know\n" * 30)
        self._do(put if when == "before" else closing)
        if when == "before":
            self._secrets.watch(self._public_secrets().values())
            self.pause(milliseconds)
        closed = when == "after" and closing[1:2] == (path,) and self._closes_itself(path)
        self._do(closing if when == "before" else put)
        if closed:  # before it had that content: so nobody may have read it
            self._secrets.close(self._closed({secret}), late=0)

    def quiet(self) -> None:
        """Wait until what is closed went; from then on it is gone for ever."""
        if not (self._agent_runs and self._store_runs):
            return
        closed = self._closed(self._secrets.all)
        if closed:
            patience = BOUND if self._has_synced else PATIENCE
            wait_for(lambda: not closed & self._secrets.seen(), f"{closed} to go", patience)
            self._has_synced = True
            self._secrets.close(closed)

    def _closed(self, secrets: set[bytes]) -> set[bytes]:
        """Return those of `secrets` that are not public."""
        return secrets - self._public_secrets().keys()

    def _public_secrets(self) -> dict[bytes, bytes]:
        """Return the secrets that are public, each with a key of a page that has it."""
        pages = model.public(self._site()).pages
        return {secret: key for key, each in pages.items() if (secret := secret_in(each))}

    def _closes_itself(self, path: bytes) -> bool:
        try:
            return self._tree.closes_itself(path)
        except OSError:
            return False

    def start_store(self) -> None:
        if not self._store_runs:
            self._store.start()
            self._store_runs, self._has_synced = True, False

    def kill_store(self) -> None:
        self._store.end()
        self._store_runs = False

    def _log_size(self) -> int:
        return self._agent.log.stat().st_size if self._agent.log.exists() else 0

    def _said(self) -> str:
        return self._agent.log.read_text(errors="replace") if self._agent.log.exists() else ""

    def _site(self) -> model.Site:
        return model.Site(
            self._tree.given, self._reader, self._exclude, heads=self._from_memory == "lua"
        )

    def _differences(self) -> list[str]:
        return model.differences(self._site(), self._store)

    def _settle(self, end: str) -> None:
        """Let the store become equal to the web root, on which nothing happens any more."""
        assert self._agent.running == self._agent_runs, "the agent ended by itself"
        self.start_store()
        if end in {"agent", "sync beside the agent"}:
            self.start_agent()
        else:
            self._agent.end(signal.SIGTERM)
            self._compare_verdicts()
        if end == "agent":
            with suppress(AssertionError):
                wait_for(lambda: not self._differences(), "the agent")
            return
        self._sync(self._config, *(["--checksum"] if end == "sync --checksum" else []))

    def _compare_verdicts(self) -> None:
        """Fail unless `memfis verify` finds something wrong where the model does.

        But for the records of directories, of which the model says nothing.
        """
        said = [each for each in self._verified() if each["what"] != "records"]
        assert bool(said) == bool(self._differences()), (said, self._differences())

    def _verified(self) -> list[dict[str, str]]:
        document: Any = memfis_json("verify", "--config", self._config)
        differences: list[dict[str, str]] = document["sites"][0]["differences"]
        return differences

    def _sync(self, config: Path, *more: str) -> None:
        done = memfis("sync", "--config", config, "--max-delete", "100%", *more)
        # 1: some files cannot be in memory
        expected = {0, 1} if self._is_open() else {2}
        assert done.returncode in expected, (done.returncode, done.stderr)

    def _is_open(self) -> bool:
        """Whether nginx's user may enter the web root."""
        return bool(self._reader.open([self._tree.given], []))

    def _problems(self, end: str) -> list[str]:
        """Return what is wrong at the end, a line each."""
        wrong = [*self._differences(), *self._secrets.late]
        if "agent" in end:
            wrong += self._unlike_new()
        wrong += [f"verify: {each}" for each in self._verified()]
        if "Traceback" in self._said():
            wrong.append("the agent showed a traceback")
        return wrong

    def _unlike_new(self) -> list[str]:
        """Return what the store has otherwise than a new one after one sync, a line each."""
        with reachable_directory(self._directory) as directory:
            new = Memcached(directory)
            new.start()
            try:
                self._sync(self._configure(directory / "memfis.toml", new))
                return unlike(self._store, new)
            finally:
                new.end()

    def _close(self) -> None:
        self._agent.end(signal.SIGKILL)
        for group in self._killed:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        self._secrets.end()
        self._store.end()
        self._tree.close()


def run(history: History) -> list[str]:
    """Let `history` happen; return what is wrong at its end, and what the agent said."""
    own_namespace()
    with reachable_directory() as directory, ExitStack() as stack:
        world = World(directory, pinned=history.kind == "pinned", reader=history.reader)
        stack.callback(world._close)
        try:
            for operation in history.tree:
                world.happen(operation)
            world.start_store()
            world.start_agent()
            for event in history.events:
                world.happen(event)
            world._settle(history.end)
            wrong = world._problems(history.end)
        except Exception as error:
            wrong = traceback.format_exception(error)
        return [*wrong, "the agent said:", *world._said().splitlines()[-30:]] if wrong else []
