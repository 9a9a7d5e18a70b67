"""An nginx with Lua's packages of ours, which also runs what a test sends it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.directory import reachable_directory
from support.fixtures import directory as directory
from support.fixtures import web as web
from support.http import Connection
from support.nginx import Web
from support.process import listening, wait_for
from support.slow_store import SlowStore

RUN = """
server {{
    listen "unix:{socket}";
    client_max_body_size 64m;
    client_body_buffer_size 64m;
    keepalive_requests 1000000;
    location / {{
        content_by_lua_block {{
            ngx.req.read_body()
            local code, data = ngx.req.get_body_data():match("^(.-)%z(.*)$")
            ngx.print(assert(loadstring(code))(data))
        }}
    }}
}}
"""
"""Runs the Lua before a NUL byte with what follows it, and answers with what that returns."""

Run = Callable[..., bytes]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Run Lua code in a worker of nginx, with one string as its argument."""
    with reachable_directory() as directory:
        web = Web(directory)
        web.site(from_memory="lua")
        socket = directory / "run.sock"
        try:
            web.start(more=RUN.format(socket=socket))
            wait_for(lambda: listening(socket), "the last of nginx's sockets")
            with Connection(socket) as connection:

                def run(code: str, data: bytes = b"") -> bytes:
                    answer = connection.ask("/", "POST", body=code.encode() + b"\0" + data)
                    assert answer.status == 200, web.nginx.log.read_text()[-2000:]
                    return answer.body

                yield run
        finally:
            web.end()


@pytest.fixture
def slow(directory: Path, web: Web) -> Iterator[SlowStore]:
    """A store that holds its answers back, for a site that is told to use it."""
    slow = SlowStore(directory / "slow.sock", web.store.socket, 0)
    slow.start()
    yield slow
    slow.end()
