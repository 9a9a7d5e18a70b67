"""A real documentation tree of over 5,000 files, every URL of it, from memory and from disk."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.command import memfis
from support.directory import reachable_directory
from support.documentation import LARGE, documentation
from support.nginx import Web
from support.ports import free_port

BYTES = b"na\xefve \x7f\x01%41 file.html"


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with reachable_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def served(directory: Path) -> Iterator[tuple[Web, Any]]:
    """The tree in a web root, synced, and an nginx in front of it."""
    web = Web(directory, "-m", "512")
    site = web.site(
        "docs.example",
        listen=[f"127.0.0.1:{free_port()}"],
        error_pages=[{"codes": [404], "uri": "/404.html"}],
    )
    root = Path(site.settings["root"])
    [tree] = (documentation(*LARGE) / "usr/share/doc").glob("openjdk-*-jre-headless")
    shutil.copytree(tree, root, symlinks=True, dirs_exist_ok=True)
    (root / "404.html").write_text("<h1>not here</h1>")
    (root / "empty").mkdir()
    (root / "second").mkdir()
    (root / "second" / "index.htm").write_text("no mapped index name")
    (root / ".hidden").write_text("hidden")
    (root / "config.php.bak").write_text("<?php")
    (root / "dump.sql").write_text("DROP TABLE pages")
    with open(bytes(root) + b"/" + BYTES, "wb") as file:
        file.write(b"a name of bytes")
    web.start()
    flags = ("--root", root, "--name", site.name, "--store", f"memcached://{site.store.socket}")
    assert memfis("sync", *flags).returncode in (0, 1)  # the package has dangling links
    yield web, (site, flags)
    web.end()


def test_the_tree_is_large(served: tuple[Web, Any]) -> None:
    _, (_, flags) = served
    [site] = json.loads(memfis("sync", *flags, "--json").stdout)["sites"]
    assert site["unchanged"] > 5000
    assert (site["added"], site["changed"], site["removed"]) == (0, 0, 0)


def test_the_store_is_equal_to_the_disk(served: tuple[Web, Any]) -> None:
    _, (_, flags) = served
    done = memfis("verify", *flags)
    assert done.stdout.splitlines()[-1].endswith(" 0 differ")
    assert done.returncode == 0


def test_every_url_is_answered_as_from_disk(served: tuple[Web, Any]) -> None:
    _, (site, flags) = served
    done = memfis(
        "verify",
        *flags,
        *("--http", f"http://{site.settings['listen'][0]}", "--origin", site.origin, "--json"),
        timeout=300,
    )
    [document] = json.loads(done.stdout)["sites"]
    assert document["differences"] == []
    assert done.returncode == 0
    assert document["served_by"]["HIT"] > 5000
    assert document["served_by"]["FALLBACK"] > 5
