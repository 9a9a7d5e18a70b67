"""memfis.layout.keys and nginx make the same key of every name that a file system allows."""

import os
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from memfis.layout import keys
from support.directory import reachable_directory
from support.http import quote
from support.nginx import Site, Web

SITE = "site.example"
ROOM = keys.KEY_LIMIT - len(keys.page_key(SITE, b"/"))


def served(name: bytes) -> bool:
    """Return whether nginx may serve what bears this name: neither dotfile nor source."""
    return not name.startswith(b".") and not any(
        suffix in name.lower() for suffix in (b".php", b".pht", b".phar", b".inc")
    )


def legal(name: bytes) -> bool:
    """Return whether a file system takes the name."""
    return 0 < len(name) <= 255 and not {0, 0x2F} & set(name)


NAMES = st.one_of(
    st.binary(min_size=1, max_size=20),
    st.lists(st.sampled_from([b"%", b" ", b"\n", b"?", b"#", b"%2f", b"..", b"\xff", b"a"]))
    .map(b"".join),
    st.integers(200, 255).map(lambda length: b"n" * length),
    st.builds(lambda few, many: b"%" * few + b"n" * many, st.integers(0, 85), st.integers(0, 170)),
    st.sampled_from([b"index.html", b"index.htm", b"Index.html", b"index.html\n", b"~", b"*"]),
).filter(lambda name: legal(name) and served(name))  # fmt: skip

PATHS = st.lists(NAMES, min_size=1, max_size=4)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with reachable_directory() as directory:
        web = Web(directory)
        site = web.site(SITE)
        try:
            web.start()
            yield site
        finally:
            web.end()


def check(site: Site, path: bytes) -> None:
    """Ask for a file that is in both, then for one that only the disk has."""
    url = b"/" + path
    page = url.removesuffix(b"index.html") if url.endswith(b"/index.html") else url
    key = keys.page_key(SITE, page)
    root = os.fsencode(site.root)
    site.write(path, b"disk")
    try:
        answer = site.get(quote(url))
        assert (answer.status, answer.source, answer.body) == (200, "FALLBACK", b"disk")
        if len(key) <= keys.KEY_LIMIT:
            site.store.put(key, b"memory")
            for target in {quote(url), quote(page)}:
                answer = site.get(target)
                assert (answer.status, answer.source, answer.body) == (200, "HIT", b"memory")
            with site.store.client() as client:
                assert client.delete(key, noreply=False)
    finally:
        shutil.rmtree(root)
        site.root.mkdir()


@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(names=PATHS)
@example(names=[bytes(range(1, 0x2F))])
@example(names=[bytes(range(0x30, 0x100))])
@example(names=[b"n" * ROOM])
@example(names=[b"n" * (ROOM + 1)])
@example(names=[b"\x20" * (ROOM // 3) + b"n" * (ROOM % 3)])
@example(names=[b"\x20" * (ROOM // 3) + b"n" * (ROOM % 3 + 1)])
@example(names=[b"d" * 100, b"%" * 30, b"n" * (ROOM - 100 - 1 - 90 - 1)])
@example(names=[b"d" * 100, b"%" * 30, b"n" * (ROOM - 100 - 1 - 90)])
@example(names=[b"d" * (ROOM - 1), b"index.html"])
@example(names=[b"%41", b"%", b"%%"])
@example(names=[b"a\nb", b"index.html"])
@example(names=[b"index.html\n", b"index.html"])
def test_every_name_is_found(site: Site, names: list[bytes]) -> None:
    check(site, b"/".join(names))


def test_every_byte_is_found(site: Site) -> None:
    for byte in sorted(set(range(1, 256)) - {0x2E, 0x2F}):
        check(site, bytes([byte]))
        check(site, b"x%cy" % byte)
