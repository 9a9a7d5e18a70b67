"""What nginx is told to do, as `nginx -T` prints it, and which server answers for a name.

Which one answers is worked out by nginx's own rules ("How nginx processes a request" of its docs).
An answer cannot say it: nothing in it may tell a visitor, or what is before nginx on the same host,
more than X-Memfis does.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePath
from typing import NamedTuple

from memfis.errors import ProgramError
from memfis.nginx.running import Refused, RunningNginx
from memfis.settings.nginx_lines import directives
from memfis.settings.server_names import fitness

_FILE = re.compile(r"^# configuration file (.+):$", re.MULTILINE)
_WARNING = re.compile(r"^.*\[warn\] (?:\d+#\d+: )?")
_UNASKABLE = ("quic", "udp")


class Listen(NamedTuple):
    """Where a server listens."""

    address: str
    """`HOST:PORT`, where `*` and `[::]` are all addresses, or `unix:PATH`."""
    parameters: frozenset[str]

    @property
    def tls(self) -> bool:
        """Whether it speaks TLS."""
        return "ssl" in self.parameters

    @property
    def can_be_asked(self) -> bool:
        """Whether HTTP/1.1 over TCP or a unix socket is spoken there."""
        return self.parameters.isdisjoint(_UNASKABLE)


class Server(NamedTuple):
    """A `server` block."""

    file: str
    listens: tuple[Listen, ...]
    names: tuple[str, ...]


class Configuration(NamedTuple):
    """All that nginx reads."""

    main: str
    """The path of nginx.conf."""
    files: Mapping[str, str]
    """Their text, by path."""
    user: str | None
    """Whom the workers run as; None: as nginx was built for."""
    servers: tuple[Server, ...]
    """In the order in which nginx reads them."""
    warnings: tuple[str, ...] = ()
    """What nginx says of what it takes all the same."""

    def file_of(self, site: str) -> str | None:
        """Return the path of the file of our `site`; None: nginx does not read it."""
        first = f"# Managed by memfis: site {site}."
        return next((path for path, text in self.files.items() if text.startswith(first)), None)

    def warnings_of(self, sites: Collection[str]) -> list[str]:
        """Return those warnings that our `sites`, by name, have a part in."""
        ours = {path for site in sites if (path := self.file_of(site))}
        names = {name for each in self.servers if each.file in ours for name in each.names}
        told = [f'"{name}"' for name in names] + [f"{file}:" for file in ours] + ["variables_hash"]
        return [line for line in self.warnings if any(each in line for each in told)]

    def includes(self) -> list[str]:
        """Return what nginx.conf includes at http level."""
        return [
            words[1]
            for blocks, words in directives(self.files[self.main])
            if blocks == ("http",) and words[0] == "include" and len(words) == 2
        ]

    def place(self, listen: Listen) -> str:
        """Return an address of this host at which what listens at `listen` is reached.

        A server that listens at one address of a port takes it from those that listen at all.
        """
        host, _, port = listen.address.rpartition(":")
        taken = {each.address for server in self.servers for each in server.listens}
        if host == "*":
            # The whole network is this host's own (RFC 1122, section 3.2.1.3).
            mine = (f"127.0.0.{number}:{port}" for number in range(1, 255))
            return next((each for each in mine if each not in taken), f"127.0.0.1:{port}")
        return f"[::1]:{port}" if host == "[::]" else listen.address

    def answering(self, place: str, host: str) -> Server | None:
        """Return the server that answers for `host`, a name without a port, at `place`."""
        port = place.rpartition(":")[2]
        everywhere = f"[::]:{port}" if place.startswith("[") else f"*:{port}"
        for address in (place, everywhere):
            here = [
                (server, listen)
                for server in self.servers
                for listen in server.listens
                if listen.address == address
            ]
            if not here:
                continue
            fitting = [
                (found, number)
                for number, (server, _) in enumerate(here)
                if (found := fitness(server.names, host)) is not None
            ]
            if fitting:
                return here[min(fitting)[1]][0]
            default = (server for server, listen in here if "default_server" in listen.parameters)
            return next(default, here[0][0])
        return None


def read_configuration(main: str | None = None) -> Configuration:
    """Return what nginx reads, from the file `main` on or from its own.

    Raises ProgramError, with nginx's own words, when nginx does not take it.
    """
    try:
        dump = RunningNginx(Path(main) if main else None).read()
    except Refused as error:
        raise ProgramError(f"nginx does not take its configuration: {error}") from error
    warned = [_WARNING.sub("", line) for line in dump.errors if "[warn]" in line]
    return parse(dump.text)._replace(warnings=tuple(dict.fromkeys(warned)))


def parse(dump: str) -> Configuration:
    """Return what `nginx -T` printed."""
    parts = _FILE.split(dump)[1:]
    files = {path: text.lstrip("\n") for path, text in zip(parts[::2], parts[1::2], strict=True)}
    main = next(iter(files))
    user: str | None = None
    servers: list[Server] = []
    for path, blocks, words in _walk(files, main, PurePath(main).parent, ()):
        if not blocks and words[0] == "user" and len(words) > 1:
            user = words[1]
        elif blocks == ("http",) and words == ["server"]:
            servers.append(Server(path, (), ()))
        elif blocks == ("http", "server") and words[0] == "listen" and len(words) > 1:
            listen = Listen(_address(words[1]), frozenset(words[2:]))
            servers[-1] = servers[-1]._replace(listens=(*servers[-1].listens, listen))
        elif blocks == ("http", "server") and words[0] == "server_name":
            servers[-1] = servers[-1]._replace(names=(*servers[-1].names, *map(_named, words[1:])))
    unsaid = (Listen("*:80", frozenset()),)
    return Configuration(
        main, files, user, tuple(each._replace(listens=each.listens or unsaid) for each in servers)
    )


def _walk(
    files: Mapping[str, str], path: str, prefix: PurePath, outer: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...], list[str]]]:
    """Yield each directive with its file and its blocks, those of what is included in its place."""
    for blocks, words in directives(files[path]):
        if words[0] != "include" or len(words) != 2:
            yield path, outer + blocks, words
            continue
        pattern = str(prefix / words[1])
        for found in sorted(each for each in files if PurePath(each).match(pattern)):
            yield from _walk(files, found, prefix, outer + blocks)


def _address(text: str) -> str:
    """Return the address of a `listen` as `Listen` has it."""
    if text.startswith("unix:"):
        return text
    if text.isdigit():
        return f"*:{text}"
    host, port = text, "80"
    if not text.endswith("]") and ":" in text:
        host, _, port = text.rpartition(":")
    return f"{'*' if host == '0.0.0.0' else host}:{port}"  # noqa: S104


def _named(name: str) -> str:
    return os.uname().nodename.lower() if name == "$hostname" else name
