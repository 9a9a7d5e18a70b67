"""A real nginx with the sites that our templates make."""

import os
import re
import signal
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import jinja2

from memfis.layout import keys
from memfis.settings.media_types import all_types
from memfis.settings.nginx_lines import has_types
from memfis.settings.site import MAX_PAGE, SITE, runs_scripts
from support.http import Answer, Connection
from support.memcached import Memcached
from support.ports import answers
from support.process import Daemon, Process, listening, unprivileged, wait_for
from support.reader import READER

TEMPLATES = Path(__file__).parents[2] / "templates"
LUA = Path(__file__).parents[2] / "lua"
LUA_MODULES = tuple(
    f"/usr/lib/nginx/modules/{name}.so" for name in ("ndk_http_module", "ngx_http_lua_module")
)
MIME_TYPES = Path("/etc/nginx/mime.types")
STORE_TIMEOUT = re.compile(r"\b((?:memcached|lua_socket)_(?:connect|send|read)_timeout) \w+;")


@cache
def templates(trim_blocks: bool) -> jinja2.Environment:
    """Return the templates, whose names begin with their directory."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=trim_blocks,
        keep_trailing_newline=True,
    )


def render(template: str, /, *, trim_blocks: bool = True, **variables: Any) -> str:
    """Render one of nginx's templates: with trim_blocks as Ansible does it, without as Jinja2."""
    return templates(trim_blocks).get_template(f"nginx/{template}").render(**variables)


class Site:
    """A site: its web root, its listeners and what it has in the store.

    One whose source is the store has no web root, and no origin.
    """

    def __init__(self, directory: Path, store: Memcached, name: str, **settings: Any) -> None:
        self.name = name
        self.store = store
        self.public = directory / f"{name}.public"
        self.origin = directory / f"{name}.origin"
        self.settings: dict[str, Any] = {
            **SITE.defaults("nginx"),
            "name": name,
            "server_names": [name],
            "listen": [f"unix:{self.public}"],
            "source": "root",
            "root": os.fspath(directory / f"{name}.root"),
            "index": ["index.html"],
            "max_page": MAX_PAGE,
            "store_address": store.address,
            "origin_socket": os.fspath(self.origin),
            "runs_scripts": runs_scripts(settings),
            "from_memory": READER,
            **settings,
        }
        if not has_types(self.settings["extra"]):
            listed = MIME_TYPES.read_text("utf-8")
            self.settings["types"] = all_types(listed, self.settings["types"] or {})
        self.told: Path | None = None
        self.stored = self.settings["source"] == "store"
        if self.stored:
            self.settings["root"] = ""
            return
        self.root = Path(self.settings["root"])
        self.root.mkdir(exist_ok=True)

    @property
    def in_memory(self) -> bool:
        """Whether memory is asked for its pages."""
        return bool(self.settings["from_memory"] != "off")

    def write(self, path: str | bytes, content: bytes) -> None:
        """Write a file into the web root, with the directories above it."""
        file = self.root / os.fsdecode(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def put(self, path: str | bytes, page: bytes, flags: int = 0, expire: int = 0) -> None:
        """Put a page into the store; `path` is the URL's, decoded, and begins with a slash."""
        key = keys.page_key(self.name, os.fsencode(path))
        self.store.put(key, page, flags, expire)
        self.tell(key)

    def tell(self, *changed: bytes) -> None:
        """Tell nginx, if it is there and reads by Lua, that the items at these keys have changed.

        Without any: that all have.
        """
        if self.told is None or not listening(self.told):
            return
        numbers = [b"%d" % (zlib.crc32(key) % 4096) for key in changed]
        with Connection(self.told) as connection:
            answer = connection.ask("/changed", "POST", body=b" ".join(numbers) or b"all")
        assert answer.status == 204

    def get(
        self,
        target: str | bytes,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        host: str | None = None,
    ) -> Answer:
        """Ask the public listener, over a connection of its own."""
        with Connection(self.public) as connection:
            return connection.ask(target, method, headers, body, host or self.name)

    def get_origin(
        self,
        target: str | bytes,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Ask the origin: the disk alone."""
        with Connection(self.origin) as connection:
            return connection.ask(target, method, headers, body, self.name)

    def raw(self, data: bytes) -> Answer:
        """Send bytes that need not be HTTP, and read the answer."""
        with Connection(self.public) as connection:
            connection.send(data)
            return connection.receive()


class Nginx:
    """nginx with sites, in `directory`; `more`: what else is at http level.

    `patient`: it waits longer for the store than our templates let it, so that the fallback does
    not answer just because the machine is busy. Not for tests of what happens without a store.
    `daemon`: in the background, as on a host. `prefix`: a command that it is run by, in a network
    namespace of its own.
    """

    def __init__(
        self,
        directory: Path,
        *sites: Site,
        workers: int = 1,
        more: str = "",
        patient: bool = False,
        first_level: int = 64,
        lua: Path = LUA,
        daemon: bool = False,
        prefix: Sequence[str | Path] = (),
    ) -> None:
        user = unprivileged()
        included = directory / "sites.conf"
        self.sites = sites
        self.log = directory / "error.log"
        self.told = directory / "first-level.sock"
        self.reads_by_lua = any(site.settings["from_memory"] == "lua" for site in sites)
        self.first_level = {
            "socket": os.fspath(self.told),
            "memory": first_level,
            "lua": os.fspath(lua),
        }
        for site in sites:
            if site.settings["from_memory"] == "lua":
                site.told = self.told
            conf = directory / f"{site.name}.conf"
            text = render("site.conf.j2", site=site.settings)
            if patient and site.in_memory:
                text, changed = STORE_TIMEOUT.subn(r"\1 20s;", text)
                assert changed
            conf.write_bytes(os.fsencode(text))
        lines = [f'include "{directory}/{site.name}.conf";\n' for site in sites]
        included.write_text("".join([*lines, more]))
        configuration = directory / "nginx.conf"
        text = render(
            "nginx.conf.j2",
            runtime_directory=os.fspath(directory),
            error_log=os.fspath(self.log),
            user=user.pw_name if user else None,
            workers=workers,
            mime_types=os.fspath(MIME_TYPES),
            site_file=os.fspath(included),
            modules=LUA_MODULES if self.reads_by_lua else (),
            first_level=self.first_level if self.reads_by_lua else None,
        )
        if daemon:
            text, changed = re.subn(r"^daemon off;", "daemon on;", text, flags=re.MULTILINE)
            assert changed
        configuration.write_text(text)
        self._pid_file = directory / "nginx.pid"
        command: list[str | Path] = [
            *(*prefix, "nginx", "-c", configuration, "-p", directory, "-e", self.log)
        ]
        self._is_apart = bool(prefix)
        self._process: Daemon | Process = (
            Daemon(command, self._pid_file) if daemon else Process(command, self.log)
        )

    def start(self) -> None:
        """Start it, and wait until every site answers.

        At its ports, too, where these are ours: nginx listens elsewhere while it waits for one that
        somebody has.
        """
        sockets = [
            site.origin if not site.stored and site.in_memory else site.public
            for site in self.sites
        ]
        if self.reads_by_lua:
            sockets.append(self.told)
        lists = [
            given.get("listen", [])
            for site in self.sites
            for given in (site.settings, site.settings.get("tls") or {})
        ]
        found = [re.match(r"127\.0\.0\.1:(\d+)", each) for each in chain(*lists)]
        ports = [int(each[1]) for each in found if each and not self._is_apart]
        self._process.start(lambda: all(map(listening, sockets)) and all(map(answers, ports)))

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it: SIGTERM fast, SIGQUIT when every request is answered, SIGKILL all at once."""
        self._process.end(number)

    @property
    def pid(self) -> int:
        """Its master process."""
        return self._process.pid

    def reload(self) -> None:
        """Let it read its configuration again, with workers of its own."""
        self._process.signal(signal.SIGHUP)

    @contextmanager
    def upgraded(self) -> Iterator[int]:
        """Within, its program runs a second time, and both listen; then the new one alone.

        Yields the master process of the old one. Only a daemon lets itself be upgraded.
        """
        old, renamed = self.pid, Path(f"{self._pid_file}.oldbin")
        os.kill(old, signal.SIGUSR2)
        wait_for(lambda: renamed.exists() and self._pid_file.exists(), "the new program")
        try:
            wait_for(lambda: bool(workers(self.pid)), "its workers")
            yield old
        finally:
            os.kill(old, signal.SIGQUIT)
            wait_for(lambda: not renamed.exists(), "the old program to end")

    def kill_a_worker(self) -> None:
        """Kill the worker that was started first, without a word to it."""
        os.kill(workers(self._process.pid)[0], signal.SIGKILL)


def workers(master: int) -> list[int]:
    """Return the children of an nginx, those that were started first at the front."""
    children = Path(f"/proc/{master}/task/{master}/children").read_text()
    return [int(child) for child in children.split()]


class Web:
    """A store, an nginx and their sites; `start` once all sites are there."""

    def __init__(self, directory: Path, *memcached: str) -> None:
        self.directory = directory
        self.store = Memcached(directory, *memcached)
        self.sites: list[Site] = []
        self.nginx: Nginx
        self._ends = ExitStack()

    def site(self, name: str = "site.example", **settings: Any) -> Site:
        """Add a site; settings as in docs/architecture/reference.md."""
        site = Site(self.directory, self.store, name, **settings)
        self.sites.append(site)
        return site

    def start(self, workers: int = 1, *, patient: bool = True, **more: Any) -> None:
        """Start the store and nginx, which is `patient` with it or as our templates have it.

        `more`: what else Nginx takes.
        """
        self._ends.callback(self.store.end)
        self.store.start()
        self.nginx = Nginx(self.directory, *self.sites, workers=workers, patient=patient, **more)
        self._ends.callback(self.nginx.end)
        self.nginx.start()

    def asked(self) -> int:
        """Return how often nginx asked the store for a page so far, with its head or without."""
        gets = int(self.store.stats()[b"cmd_get"])
        return gets // 2 if self.nginx.reads_by_lua else gets

    def end(self) -> None:
        """End nginx, then the store."""
        self._ends.close()
