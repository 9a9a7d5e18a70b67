"""Stores that are full, small or no stores at all, and directories that are large."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from integration.conftest import Agents, Filled
from memfis.settings.addresses import StoreAddress
from memfis.store import Store
from support.command import memfis, memfis_json
from support.directory import reachable_directory
from support.memcached import Memcached
from support.ports import answers, free_port
from support.process import Process, wait_for

MANY = 100_000

ANSWERS = """
import socketserver, sys
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            while self.request.recv(65536):
                self.request.sendall(eval(sys.argv[2]))
        except OSError:
            pass
socketserver.ThreadingTCPServer.daemon_threads = True
socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
"""A server that answers the same to everything."""


@contextmanager
def server(directory: Path, *command: str) -> Iterator[str]:
    """Run a server, whose command ends with its port, and yield the URL of the store it is not."""
    port = free_port()
    process = Process([word.replace("PORT", str(port)) for word in command], directory / "log")
    process.start(lambda: answers(port))
    yield f"memcached://127.0.0.1:{port}"
    process.end()


NO_STORES = {
    "web server": (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "PORT"),
    "error": (sys.executable, "-c", ANSWERS, "PORT", "b'ERROR\\r\\n'"),
    "end": (sys.executable, "-c", ANSWERS, "PORT", "b'END\\r\\n'"),
    "binary": (sys.executable, "-c", ANSWERS, "PORT", "bytes(range(256)) * 10 + b'\\r\\n'"),
    "no line": (sys.executable, "-c", ANSWERS, "PORT", "b'x' * 100_000"),
    "wrong figures": (sys.executable, "-c", ANSWERS, "PORT", "b'STAT uptime x\\r\\nEND\\r\\n'"),
    "too much": (sys.executable, "-c", ANSWERS, "PORT", "b'HD s1 f1 t1\\r\\n' * 5000"),
}


@pytest.mark.parametrize("kind", NO_STORES)
def test_what_is_no_store_is_named(filled: Filled, kind: str) -> None:
    with server(filled.root.parent, *NO_STORES[kind]) as url:
        done = memfis("sync", "--root", filled.root, "--name", "a", "--store", url)
    assert done.returncode == 3, done
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert url in line


@pytest.mark.parametrize("kind", ["web server", "binary"])
def test_an_agent_waits_until_its_store_is_one(
    filled: Filled, new_agent: Agents, kind: str
) -> None:
    with server(filled.root.parent, *NO_STORES[kind]) as url:
        agent = new_agent(settings={"store": url})
        agent.start(lambda: bool(agent.lines(url)))
        (filled.root / "index.html").write_text("changed")
        wait_for(lambda: bool(agent.lines(url)), "the agent to say so")
    assert len(agent.lines(url)) <= 4  # each thing once
    agent.settings["store"] = filled.site.store
    agent.reload()
    wait_for(filled.is_equal, "the right store to be filled")


@contextmanager
def store_of(filled: Filled, *options: str) -> Iterator[Filled]:
    """Yield the site with another store."""
    with reachable_directory() as directory:
        memcached = Memcached(directory, *options)
        memcached.start()
        url = f"memcached://{memcached.socket}"
        try:
            with closing(Store(StoreAddress.parse(url))) as store:
                yield Filled(replace(filled.site, store=url), store)
        finally:
            memcached.end()


def test_a_store_that_is_full_and_evicts_nothing(filled: Filled) -> None:
    for number in range(400):
        (filled.root / "docs" / f"{number}.png").write_bytes(os.urandom(20_000))
    with store_of(filled, "-M", "-m", "4", "-I", "1m") as full:
        [site] = memfis_json("sync", *full.flags())["sites"]
        done = memfis("sync", *full.flags())
        assert done.returncode == 1
        reasons = {problem["reason"] for problem in site["problems"]}
        assert reasons == {"refused by the store: out of memory storing object"}
        refused = {problem["path"] for problem in site["problems"]}
        assert 0 < len(refused) < 400
        assert site["pages"] + len(refused) == 403
        found = full.discrepancies()
        assert {each.kind for each in found} == {"missing"}
        assert {each.path.decode() for each in found} <= refused
        lines = done.stderr.splitlines()
        assert len(lines) == len({*lines}) == len(found)
        assert all(
            re.match(r"memfis: site\.example: /\S+: refused by the store: ", x) for x in lines
        )


@pytest.fixture
def crowded(filled: Filled) -> Iterator[Filled]:
    """A web root in memory with a directory of very many files."""
    memory = Path("/dev/shm")
    with reachable_directory(memory if os.access(memory, os.W_OK) else None) as directory:
        (directory / "docs").mkdir()
        (directory / "index.html").write_text("front page")
        docs = os.open(directory / "docs", os.O_DIRECTORY)
        for number in range(MANY):
            name = f"page-{number:06}.html"
            file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=docs)
            os.write(file, name.encode())
            os.close(file)
        os.close(docs)
        yield Filled(replace(filled.site, root=str(directory)), filled.store)


def test_very_many_files_in_one_directory(crowded: Filled) -> None:
    with store_of(crowded, "-m", "200") as roomy:
        done = memfis("sync", *roomy.flags())
        assert (done.returncode, done.stderr) == (0, "")
        assert roomy.content(b"/docs/page-099999.html") == b"page-099999.html"
        (crowded.root / "docs" / "page-000000.html").unlink()
        (crowded.root / "docs" / "page-000001.html").write_text("changed")
        [site] = memfis_json("sync", *roomy.flags())["sites"]
        assert (site["changed"], site["removed"], site["pages"]) == (1, 1, MANY)
        assert roomy.discrepancies() == []
    with store_of(crowded, "-I", "1m") as small:
        done = memfis("sync", *small.flags())
        assert done.returncode == 1
        [line] = done.stderr.splitlines()
        assert line.startswith(
            "memfis: site.example: /docs/: its records do not fit into the store"
        )
        assert "object too large" in line
        # what no record names is not in memory, and the rest is
        assert small.pages() == {b"/"}
        again = memfis("sync", *small.flags())
        assert (again.returncode, again.stderr.splitlines()) == (1, [line])
        assert small.pages() == {b"/"}
