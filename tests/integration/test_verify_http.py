"""`memfis verify --http` asks every URL that memory has, and finds a wrong page under each."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from memfis.layout.keys import directory_key, page_key, unescape
from memfis.store import Value
from support.command import memfis, memfis_json
from support.memcached import Memcached
from support.nginx import Nginx
from support.nginx import Site as Served
from support.ports import free_port

from .conftest import Filled

ODD = b"a %2f\n\xff?#.html"


@pytest.fixture
def linked(filled: Filled) -> Filled:
    """A synced web root with links to directories, and links to files below them."""
    root = filled.root
    deep = root / "docs/deep/more"
    deep.mkdir(parents=True)
    (deep / "index.html").write_text("more")
    (deep / "page.html").write_text("<p>page</p>" * 100)
    (root / "docs/alias.html").symlink_to("deep/more/page.html")
    Path(os.fsdecode(os.fsencode(root) + b"/docs/" + ODD)).write_text("odd")
    (root / "latest").symlink_to("docs")
    (root / "docs/deep/inner").symlink_to("more")
    (root / "other").mkdir()
    (root / "other/here").symlink_to("../docs/deep", target_is_directory=True)
    filled.sync()
    return filled


@pytest.fixture
def served(linked: Filled, memcached: Memcached, directory: Path) -> Iterator[Served]:
    address = f"127.0.0.1:{free_port()}"
    site = Served(
        directory,
        memcached,
        linked.site.name,
        root=linked.site.root,
        listen=[address, f"unix:{directory}/{linked.site.name}.public"],
    )
    nginx = Nginx(directory, site, patient=True)
    nginx.start()
    yield site
    nginx.end()


def verify(linked: Filled, served: Served) -> tuple[str | Path, ...]:
    """Return the arguments of the command."""
    url = f"http://{served.settings['listen'][0]}"
    return ("verify", *linked.flags(), "--http", url, "--origin", served.origin)


def differences(linked: Filled, served: Served) -> set[str]:
    [site] = memfis_json(*verify(linked, served))["sites"]
    return {each["path"] for each in site["differences"]}


def named(path: bytes) -> set[str]:
    """Return the names under which the page at `path` is found, as they are shown."""
    text = os.fsdecode(path).replace("\n", "\\n").replace("\udcff", "\\xff")
    return {text, text + "index.html"} if text.endswith("/") else {text}


def test_each_page_of_memory_is_asked_for(linked: Filled, served: Served) -> None:
    done = memfis(*verify(linked, served))
    assert done.returncode == 0, done.stdout
    pages = linked.pages()
    assert {b"/latest/deep/more/page.html", b"/other/here/more/", b"/latest/" + ODD} <= {
        unescape(page) for page in pages
    }
    for page in pages:
        path = unescape(page)
        key = page_key(linked.site.name, path)
        right = linked.store.get(key)
        assert isinstance(right, Value)
        linked.store.set(key, b"wrong", 0)
        assert differences(linked, served) == named(path)
        linked.store.set(key, right.value, right.flags)
    assert memfis(*verify(linked, served)).returncode == 0


def test_page_that_the_disk_does_not_have(linked: Filled, served: Served) -> None:
    """Of a file, or a link, that is gone since; or of one that nothing ever stood for."""
    (linked.root / "docs/logo.png").unlink()
    (linked.root / "other/here").unlink()
    linked.store.set(page_key(linked.site.name, b"/never/was.html"), b"x", 0)
    assert differences(linked, served) == {
        "/docs/logo.png",
        "/latest/logo.png",
        "/never/was.html",
        *(f"/other/here{name}" for name in ("/more/", "/more/index.html", "/more/page.html")),
    }


def test_page_below_a_link_whose_record_is_lost(linked: Filled, served: Served) -> None:
    site = linked.site.name
    linked.store.delete_many([directory_key(site, b"/latest/deep/")])
    linked.store.set(page_key(site, b"/latest/deep/more/page.html"), b"wrong", 0)
    assert differences(linked, served) == {"/latest/deep/more/page.html"}


def test_store_that_is_away(linked: Filled, served: Served, memcached: Memcached) -> None:
    memcached.end()
    done = memfis(*verify(linked, served))
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
