"""The site, and plain nginx: once on the tree, once with what the site has compressed beside it."""

import gzip
import http.client
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from differential import tree
from memfis.layout.compression import Compression
from memfis.layout.pages import GZIP, make_page
from memfis.settings.media_types import all_types
from support.agent import toml
from support.command import memfis
from support.directory import reachable_directory
from support.nginx import MIME_TYPES, Nginx, Site, Web
from support.process import PATIENCE, unprivileged

HOST = "site.example"

FIELDS = (
    *("Content-Type", "Content-Length", "Transfer-Encoding", "Content-Encoding", "Content-Range"),
    *("Cache-Control", "Expires", "ETag", "Last-Modified", "Vary", "Accept-Ranges", "Location"),
    "Allow",
)
"""Header fields of the representation, of caching, validation and ranges."""

FOR_EVER = "Thu, 31 Dec 2037 23:55:55 GMT"
"""What nginx makes of `expires max`."""

BOUNDARY = re.compile(rb"(?<=boundary=)\w+")


@dataclass(frozen=True)
class Request:
    """A request as bytes, in parts."""

    target: bytes
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    version: str = "1.1"
    body: bytes = b""

    def encoded(self) -> bytes:
        """Return what is sent."""
        lines = [("Host", HOST), *self.headers]
        if self.body:
            lines.append(("Content-Length", str(len(self.body))))
        head = b"%s %s HTTP/%s\r\n" % (self.method.encode(), self.target, self.version.encode())
        return head + "".join(f"{n}: {v}\r\n" for n, v in lines).encode() + b"\r\n" + self.body

    def without(self, *names: str) -> "Request":
        """Return it without these headers."""
        return replace(self, headers=tuple(each for each in self.headers if each[0] not in names))

    def header(self, name: str) -> str | None:
        """Return a header's value, None without it."""
        return dict(self.headers).get(name)


@dataclass(frozen=True)
class Answer:
    """What is compared of an answer, `status` and `body` among its fields."""

    fields: dict[str, Any]
    source: str | None = field(default=None, compare=False)

    def __getitem__(self, name: str) -> Any:
        return self.fields.get(name)

    def unlike(self, other: "Answer") -> frozenset[str]:
        """Return the names of the fields in which the two differ."""
        names = self.fields.keys() | other.fields.keys()
        return frozenset(name for name in names if self[name] != other[name])


class Server:
    """A server that is asked over one connection, as long as it keeps it."""

    def __init__(self, public: Path) -> None:
        self._public = public
        self._connection: socket.socket | None = None

    def ask(self, request: Request) -> Answer:
        """Return the answer to `request`."""
        if self._connection is not None:
            try:
                return self._ask(self._connection, request)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.close()  # nginx ends some after errors, without a word (RFC 9112, 9.3.1)
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.settimeout(PATIENCE)
        self._connection.connect(os.fspath(self._public))
        return self._ask(self._connection, request)

    def _ask(self, connection: socket.socket, request: Request) -> Answer:
        connection.sendall(request.encoded())
        with http.client.HTTPResponse(connection, method=request.method) as response:
            response.begin()
            body = response.read()
        if response.will_close:
            self.close()
        return compared(response.status, response.headers, body)

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def compared(status: int, headers: Message, body: bytes) -> Answer:
    """Return of an answer what is compared."""
    found: dict[str, Any] = {"status": status}
    for name in FIELDS:
        values = headers.get_all(name)
        if values is not None:
            found[name] = ", ".join(values)
    if found.get("Expires", FOR_EVER) != FOR_EVER:
        seconds = parsedate_to_datetime(found["Expires"]) - parsedate_to_datetime(headers["Date"])
        found["Expires"] = round(seconds.total_seconds())
    kind = found.get("Content-Type", "").encode("latin-1")
    boundary = BOUNDARY.search(kind)
    if boundary:  # another one each time
        found["Content-Type"] = BOUNDARY.sub(b"", kind).decode("latin-1")
        body = body.replace(boundary[0], b"")
    if found.get("Transfer-Encoding") == "chunked" and found.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)  # compressed while it was sent
    found["body"] = body
    return Answer(found, headers.get("X-Memfis"))


@dataclass(frozen=True)
class Servers:
    """Four servers of one nginx."""

    memory: Server
    """The site, with all in memory that can be there."""
    fallback: Server
    """The site, with nothing in memory."""
    static: Server
    """Plain nginx with gzip_static, on the tree and every page that memory has compressed."""
    plain: Server
    """Plain nginx on the tree."""


SETTINGS: dict[str, Any] = {"index": ["index.html", "index.htm"]}
MORE: dict[str, Any] = {
    "default_type": "text/plain",
    "charset": "utf-8",
    "headers": {"Cache-Control": "no-transform"},
    "expires": [{"type": "text/", "expires": "1h"}, {"type": "image/", "expires": "max"}],
    "error_pages": [{"codes": [404], "uri": "/errors/lost.html"}],
}
MORE_OF_NGINX = """
    default_type text/plain;
    charset utf-8;
    add_header Cache-Control no-transform;
    expires $expires_plainly;
    error_page 404 /errors/lost.html;
"""
MAP_OF_NGINX = """
map $sent_http_content_type $expires_plainly {
    default off;
    "~*^text/" 1h;
    "~*^image/" max;
}
"""


@contextmanager
def servers(more: bool) -> Iterator[Servers]:
    """Yield running servers; `more`: with settings of caching, types and errors."""
    with reachable_directory() as directory:
        web = Web(directory)
        root, static = directory / "root", directory / "static"
        root.mkdir()
        tree.make(root)
        settings = {**SETTINGS, **(MORE if more else {}), "root": str(root)}
        memory, fallback = (web.site(name, **settings) for name in (HOST, "empty.example"))
        shutil.copytree(root, static, symlinks=True, copy_function=shutil.copy2)
        compress(static)
        own = MORE_OF_NGINX if more else ""
        # what an older list lacks is of today everywhere: tests/serving/test_media_types.py
        types = " ".join(
            f"{of} {each};" for each, of in all_types(MIME_TYPES.read_text(), {}).items()
        )
        plainly = MAP_OF_NGINX if more else ""
        sockets, asked = {}, list[Server]()
        for name, place, gzip_static in (("static", static, "on"), ("plain", root, "off")):
            sockets[name] = directory / f"{name}.sock"
            plainly += f"""
server {{
    listen unix:{sockets[name]};
    server_name {HOST};
    root {place};
    index index.html index.htm;
    gzip_static {gzip_static};
    gzip_vary on;
    gzip_proxied any;
    types {{ {types} }}
    {own}
}}
"""
        try:
            web.store.start()
            web.nginx = Nginx(directory, *web.sites, more=plainly, patient=True)
            web.nginx.start()
            fill(memory)
            public = (memory.public, fallback.public, sockets["static"], sockets["plain"])
            asked += map(Server, public)
            yield Servers(*asked)
        finally:
            for server in asked:
                server.close()
            if hasattr(web, "nginx"):
                web.nginx.end()
            web.store.end()


def compress(root: Path) -> None:
    """Put a .gz beside every file below `root` that memory would have compressed."""
    for directory, _, names in os.walk(os.fsencode(root)):
        for name in names:
            path = os.path.join(directory, name)
            if not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                page = make_page(name, file.read(), Compression())
            if page.flags & GZIP:
                with open(path + b".gz", "wb") as file:
                    file.write(page.value)
                shutil.copystat(path, path + b".gz")


def fill(site: Site) -> None:
    """Sync the site's web root."""
    user = unprivileged()
    table: dict[str, Any] = {
        "name": site.name,
        "root": str(site.root),
        "store": f"memcached://{site.store.socket}",
        "index": site.settings["index"],
        **({"reader": user.pw_name} if user else {}),
        "from_memory": site.settings["from_memory"],
    }
    settings = site.root.parent / "memfis.toml"
    settings.write_text(toml({}, [table]))
    done = memfis("sync", "--config", settings)
    # Some of the tree cannot be published, which is said.
    assert done.returncode == 1, done.stderr
