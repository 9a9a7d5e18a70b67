"""Tools and clients as people have them, and what the gateway has not: each answer ends."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from memfis.gateway.admin import VERSION
from support.couchbase_mock import CouchbaseMock
from support.gateway import Gateway
from support.ports import free_port
from support.raw import Raw

# By docs/gateway.md: what memcached obeys, and here is one line that says why not.
REFUSED = {
    "cache_memlimit 50": "the bucket's memory is set in Couchbase",
    "slabs automove 0": "the gateway has no slabs",
    "slabs reassign 1 2": "the gateway has no slabs",
    "lru mode flat": "the gateway has no queues of items",
    "lru tune 10 20 0.1 2.0": "the gateway has no queues of items",
    "watch fetchers": "the gateway's log is the system's",
    **{
        f"lru_crawler {words}": "the gateway has no LRU crawler"
        for words in ("enable", "disable", "sleep 100", "tocrawl 5", "crawl 1")
    },
    "stats reset": "the gateway's figures cannot be reset",
    **{
        f"stats detail {word}": "the gateway counts nothing by prefixes of keys"
        for word in ("on", "off")
    },
    **{
        f"stats {word}": "the gateway counts no sizes" for word in ("sizes_enable", "sizes_disable")
    },
    "flush_all 5": "the gateway cannot flush later",
    "me k": "me is not supported by the gateway",
}

PHP = """
$memcached = new Memcached();
$memcached->addServer('127.0.0.1', (int) $argv[1]);
$memcached->set('a', 'of PHP');
[$version] = array_values($memcached->getVersion());
[$figures] = array_values($memcached->getStats());
echo json_encode([
    'version' => $version,
    'figures' => $figures,
    'keys' => $memcached->getAllKeys(),
    'a' => $memcached->get('a'),
]);
"""


@pytest.fixture(scope="module", params=["memory", "couchbase"])
def served(request: pytest.FixtureRequest, directory: Path) -> Iterator[tuple[Gateway, int]]:
    """A gateway with a few items, and its port."""
    mock: CouchbaseMock | None = None
    if request.param == "couchbase":
        mock = request.getfixturevalue("mock")
    place = directory / f"tools-{request.param}"
    place.mkdir()
    port = free_port()
    listen = [f"127.0.0.1:{port}", f"unix:{place}/gateway.sock"]
    gateway = Gateway(place, mock, listen=listen, allow_flush=True)
    with ExitStack() as ends:
        ends.callback(gateway.end)
        gateway.start()
        with Raw(gateway.socket) as client:
            client.ask(b"flush_all\r\n")
            for key in (b"a", b"b", b"memfis://site.example/"):
                assert client.ask(b"set %b 2 0 1\r\nx\r\n" % key) == b"STORED\r\n"
        yield gateway, port


def run(gateway: Gateway, *command: str) -> str:
    done = subprocess.run((*gateway.inside, *command), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_tools_of_libmemcached(served: tuple[Gateway, int]) -> None:
    gateway, port = served
    server = f"--servers=127.0.0.1:{port}"
    run(gateway, "memcping", server)
    said = run(gateway, "memcstat", server)
    assert f"version: {VERSION}" in said
    assert "curr_items: 3" in said
    assert run(gateway, "memccat", server, "b") == "x\n"
    assert "1:number: 3" in run(gateway, "memcstat", server, "--args=items").replace("items:", "")
    if not gateway.over_couchbase:
        assert set(run(gateway, "memcdump", server).split()) == {"a", "b", "memfis://site.example/"}


def test_clients_of_php(served: tuple[Gateway, int]) -> None:
    gateway, port = served
    said = json.loads(run(gateway, "php", "-r", PHP, str(port)))
    assert said["version"].startswith("1.6.18")
    assert said["figures"]["curr_items"] == 3
    assert said["a"] == "of PHP"
    if gateway.over_couchbase:
        assert not said["keys"]
    else:
        assert set(said["keys"]) == {"a", "b", "memfis://site.example/"}


@pytest.mark.parametrize("command", REFUSED)
def test_what_there_is_none_of_is_one_line(served: tuple[Gateway, int], command: str) -> None:
    gateway, _ = served
    with Raw(gateway.socket) as client:
        said = client.ask(command.encode() + b"\r\n")
    assert said == b"CLIENT_ERROR %b\r\n" % REFUSED[command].encode()


@pytest.mark.parametrize("topic", ["", "settings", "items", "slabs", "sizes", "conns", "extstore"])
def test_statistics_end(served: tuple[Gateway, int], topic: str) -> None:
    gateway, _ = served
    with Raw(gateway.socket) as client:
        *lines, end = client.ask(f"stats {topic}".strip().encode() + b"\r\n").splitlines()
    assert end == b"END"
    assert all(line.startswith(b"STAT ") for line in lines)


def test_listings_end(served: tuple[Gateway, int]) -> None:
    gateway, _ = served
    with Raw(gateway.socket) as client:
        assert client.ask(b"stats cachedump 2 0\r\n") == b"END\r\n"
        said = client.ask(b"stats cachedump 1 2\r\n")
    # libmemcached aborts the program that it is in when a listing is an error.
    assert said.count(b"ITEM ") == (0 if gateway.over_couchbase else 2)
    assert said.endswith(b"END\r\n")
