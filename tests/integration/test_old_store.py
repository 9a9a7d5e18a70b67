"""What version 0.1.0 left in a store is taken up: nothing is sent again, and nothing is lost."""

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from support.agent import Agent, toml
from support.command import memfis, memfis_json
from support.memcached import Memcached
from support.mount import mounted
from support.old_store import (
    FILES_SITE,
    PHP_INDEX,
    PHP_SITE,
    RACY,
    RENDERED,
    ROOT_SITE,
    described,
    load,
    make_files,
    make_root,
    read_dump,
)
from support.origin import Origin
from support.process import wait_for


@pytest.fixture
def old(memcached: Memcached) -> Memcached:
    """A store with what version 0.1.0 left."""
    load(memcached)
    return memcached


def flags(memcached: Memcached, site: str, root: Path | None = None) -> list[str]:
    """Return the command line's flags that name a site."""
    named = ["--name", site, "--store", f"memcached://{memcached.socket}"]
    if site == PHP_SITE:
        named += [word for name in PHP_INDEX for word in ("--index", name)]
    return [*named, *(["--root", str(root)] if root else [])]


Written = dict[bytes, bytes]


def written(memcached: Memcached, site: str) -> Written:
    """Return keys of pages, kept files and directories, and a number that each write changes."""
    found = {}
    for line in memcached.items():
        words = dict(word.split(b"=", 1) for word in line.split())
        key = unquote_to_bytes(words[b"key"])
        if site.encode() in key and not key.startswith(b"memfis-site:"):
            found[key] = words[b"cas"]
    return found


def pages(found: Written) -> Written:
    """Return what visitors get, and files that are kept."""
    return {key: cas for key, cas in found.items() if not key.startswith(b"memfis-dir:")}


def test_the_dump_has_every_kind_of_item() -> None:
    items = {item.key: item for item in read_dump()}
    kinds = {key.split(b"://")[0] for key in items}
    assert kinds == {b"memfis", b"memfis-dir", b"memfis-private", b"memfis-site"}
    assert {item.flags & 2 for key, item in items.items() if key.startswith(b"memfis:")} == {0, 2}
    assert {item.ttl > 0 for item in items.values()} == {True, False}
    records = b"".join(item.value for key, item in items.items() if key.startswith(b"memfis-dir"))
    tombstone, racy, rendered = b'"gone.html",null,', b'"file",true,', b'"rendered",'
    too_large, link = b'"large.bin",33188,200000,', b'"docs/page.html",1,'
    for kind in (tombstone, racy, rendered, too_large, link):
        assert kind in records, kind


@pytest.mark.parametrize("site", [ROOT_SITE, PHP_SITE])
def test_a_sync_sends_nothing_again(old: Memcached, directory: Path, site: str) -> None:
    root = directory / "root"
    make_root(root)
    before = written(old, site)
    named = flags(old, site, root)
    [report] = memfis_json("sync", *named)["sites"]
    assert (report["added"], report["changed"], report["removed"]) == (0, 0, 0)
    after = written(old, site)
    assert pages(after) == pages(before)
    # Every file is read once, to record which one it is; then it is known.
    told = {key for key in before if before[key] != after[key]}
    assert told
    assert all(key.startswith(b"memfis-dir://") for key in told)
    assert memfis("sync", *named).returncode == 0
    assert written(old, site) == after
    done = memfis("verify", *named)
    assert (done.returncode, " 0 differ" in done.stdout) == (0, True), done.stdout


def test_another_reader_gets_heads_and_no_page_is_sent_again(
    old: Memcached, directory: Path
) -> None:
    make_root(directory / "root")
    config = directory / "memfis.toml"
    site = {"name": ROOT_SITE, "root": str(directory / "root"), "from_memory": "lua"}
    config.write_text(toml({"store": f"memcached://{old.socket}"}, [site]))
    before = pages(written(old, ROOT_SITE))
    [report] = memfis_json("sync", "--config", config)["sites"]
    assert (report["added"], report["changed"], report["bytes_written"]) == (0, 0, 0)
    after = pages(written(old, ROOT_SITE))
    heads = {key for key in after if key.startswith(b"memfis-head://")}
    assert len(heads) == len(before)
    assert {key: cas for key, cas in after.items() if key not in heads} == before
    done = memfis("verify", "--config", config, "--site", ROOT_SITE)
    assert (done.returncode, " 0 differ" in done.stdout) == (0, True), done.stdout


def test_what_changed_since_is_seen(old: Memcached, directory: Path) -> None:
    root = directory / "root"
    make_root(root)
    status = (root / RACY).stat()
    # As long and as old as before: only that it was being changed says so.
    (root / RACY).write_bytes((root / RACY).read_bytes().upper())
    os.utime(root / RACY, ns=(status.st_mtime_ns, status.st_mtime_ns))
    (root / "docs" / "logo.png").unlink()
    (root / "many" / "3.html").write_text("<p>new</p>")
    named = flags(old, ROOT_SITE, root)
    [report] = memfis_json("sync", *named)["sites"]
    assert (report["added"], report["changed"], report["removed"]) == (0, 2, 1)
    assert memfis("cat", *named, f"/{RACY}").stdout == "<P>WRITTEN WHILE IT WAS READ</P>"
    assert memfis("verify", *named).returncode == 0


def test_rendered_pages_are_known(old: Memcached) -> None:
    named = flags(old, PHP_SITE)
    assert {"about", "blog/"} <= set(memfis("ls", *named).stdout.splitlines())
    for path, body in RENDERED.items():
        found = memfis("cat", *named, path.replace("%C3%A9", "\u00e9"))
        assert (found.returncode, found.stdout) == (0, body.decode()), path


def test_an_agent_takes_rendered_pages_up(old: Memcached, directory: Path) -> None:
    """It asked for each by the target that its path gives, as is done today."""
    root = directory / "root"
    make_root(root)
    origin = Origin(directory / "origin.sock")
    origin.start()
    site = {
        **{"name": PHP_SITE, "root": str(root), "index": list(PHP_INDEX), "charset": "utf-8"},
        **{"default_type": "text/html", "origin": str(origin.socket)},
        "php": {"canonical": f"https://{PHP_SITE}"},
    }
    before = pages(written(old, PHP_SITE))
    agent = Agent(directory, {"store": f"memcached://{old.socket}"}, [site])
    agent.start()
    try:

        def rendered() -> int:
            [status] = memfis_json("status", "--config", agent.config)["sites"]
            return int(status["agent"]["rendering"]["pages"])

        wait_for(lambda: rendered() == len(RENDERED), "the pages to be taken up")
        assert pages(written(old, PHP_SITE)) == before
        assert origin.paths() == []
    finally:
        agent.end()
        origin.end()


def test_a_mount_has_all_files(old: Memcached, directory: Path) -> None:
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("needs /dev/fuse")
    files = directory / "files"
    files.mkdir()
    make_files(files)
    before = written(old, FILES_SITE)
    with mounted(directory, old.socket, site=FILES_SITE) as mount:
        assert described(mount.path) == described(files)
    assert written(old, FILES_SITE) == before
    done = memfis("verify", *flags(old, FILES_SITE))
    assert (done.returncode, " 0 differ" in done.stdout) == (0, True), done.stdout


def test_a_mount_goes_on_from_there(old: Memcached, directory: Path) -> None:
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("needs /dev/fuse")
    with mounted(directory, old.socket, site=FILES_SITE) as mount:
        (mount.path / "docs" / "page.html").write_text("<p>new</p>")
        (mount.path / "docs").rename(mount.path / "manual")
        (mount.path / "draft.html").chmod(0o644)
        (mount.path / "tool").unlink()
    named = flags(old, FILES_SITE)
    assert memfis("cat", *named, "/manual/page.html").stdout == "<p>new</p>"
    assert memfis("verify", *named).returncode == 0
