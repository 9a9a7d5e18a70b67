"""Python's clients as programs use them: memcached and the gateway are one to them."""

import os

import memcache
import pytest
from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheIllegalInputError

from support.gateway import Gateway
from support.memcached import Memcached

MIB = 1024 * 1024

LONGEST = "k" * 250


def test_pymemcache(gateway: Gateway) -> None:
    by_pymemcache(gateway)


def test_pymemcache_with_memcached(memcached: Memcached) -> None:
    by_pymemcache(memcached)


def test_python_memcached(gateway: Gateway) -> None:
    by_python_memcached(gateway)


def test_python_memcached_with_memcached(memcached: Memcached) -> None:
    by_python_memcached(memcached)


def by_pymemcache(server: Memcached) -> None:
    client = Client(os.fspath(server.socket), timeout=20, default_noreply=False)
    assert client.flush_all()
    assert client.get("a") is None
    assert client.set("a", b"one", flags=4294967295)
    assert client.get("a") == b"one"
    assert client.add("a", b"x") is False
    assert client.add("b", b"two")
    assert client.replace("c", b"x") is False
    assert client.replace("b", b"2")
    assert client.append("b", b"3")
    assert client.prepend("b", b"1")
    assert client.append("c", b"x") is False

    value, version = client.gets("a")
    assert (value, client.gets("none")) == (b"one", (None, None))
    assert client.set("a", b"between")
    assert client.cas("a", b"late", version) is False
    _, version = client.gets("a")
    assert client.cas("a", b"in time", version)
    assert client.cas("none", b"x", version) is None

    assert client.incr("b", 7) == 130
    assert client.decr("b", 200) == 0
    assert client.incr("none", 1) is None
    assert client.set_many({"d": b"4", "e": b"5"}) == []
    assert client.get_many(["a", "none", "d", "e"]) == {"a": b"in time", "d": b"4", "e": b"5"}
    assert set(client.gets_many(["d", "none"])) == {"d"}
    assert client.delete_many(["d", "e"])

    assert client.touch("a", 100)
    assert client.touch("none", 100) is False
    assert client.delete("a")
    assert client.delete("a") is False

    large = os.urandom(19 * MIB)
    assert client.set(LONGEST, large)
    assert client.get(LONGEST) == large
    with pytest.raises(MemcacheIllegalInputError):
        client.get(f"{LONGEST}k")

    client.set("quiet", b"x", noreply=True)
    client.delete("quiet", noreply=True)
    assert client.get("quiet") is None
    assert client.set("gone", b"x", expire=-1)
    assert client.get("gone") is None

    assert client.version().startswith(b"1.6.")
    figures = client.stats()
    assert figures[b"curr_connections"] >= 1
    assert figures[b"cmd_set"] > 0
    assert b"item_size_max" in client.stats("settings")
    assert client.flush_all()
    assert client.get(LONGEST) is None
    client.quit()


def by_python_memcached(server: Memcached) -> None:
    client = memcache.Client(
        [f"unix:{server.socket}"],
        socket_timeout=20,
        server_max_value_length=20 * MIB,
        cache_cas=True,
    )
    client.flush_all()
    assert client.get("a") is None
    assert client.set("a", {"of": ["Python", 1]})
    assert client.get("a") == {"of": ["Python", 1]}
    assert client.set("compressed", "x" * 10000, min_compress_len=100)
    assert client.get("compressed") == "x" * 10000
    assert not client.add("a", 1)
    assert client.add("number", 1)
    assert not client.replace("none", 1)
    assert client.replace("number", 12)
    assert client.append("number", "3")
    assert not client.append("none", "3")
    assert client.incr("number", 7) == 130
    assert client.decr("number", 200) == 0
    assert client.incr("none") is None

    assert client.gets("a") == {"of": ["Python", 1]}
    other = memcache.Client([f"unix:{server.socket}"], socket_timeout=20)
    assert other.set("a", "between")
    assert not client.cas("a", "late")
    assert client.gets("a") == "between"
    assert client.cas("a", "in time")
    assert client.set_multi({"d": 4, "e": 5}, key_prefix="of-") == []
    assert client.get_multi(["d", "none", "e"], key_prefix="of-") == {"d": 4, "e": 5}
    assert client.delete_multi(["d", "e"], key_prefix="of-")

    assert client.touch("a", 100)
    assert client.delete("a")
    assert client.get("a") is None
    large = os.urandom(19 * MIB)
    assert client.set(LONGEST, large)
    assert client.get(LONGEST) == large
    with pytest.raises(memcache.Client.MemcachedKeyLengthError):
        client.get(f"{LONGEST}k")

    [(_, figures)] = client.get_stats()
    assert figures["version"].startswith("1.6.")
    [(_, items)] = client.get_slab_stats() or [("", {})]
    assert isinstance(items, dict)
    client.flush_all()
    assert client.get(LONGEST) is None
    client.disconnect_all()
    other.disconnect_all()
