"""A site whose only source is the store: what the commands and the agent make of it."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from integration.conftest import Agents, Filled
from memfis.catalog.catalog import Catalog
from memfis.catalog.site_item import SiteItem
from memfis.filesystem import open_site
from memfis.layout.heads import Head, encode_head
from memfis.layout.keys import directory_key, head_key, page_key, private_key, site_key
from memfis.layout.records import MOVING, Entry
from support.agent import Agent
from support.command import COMMAND, environment, memfis, memfis_json
from support.memcached import Memcached
from support.nginx import Nginx
from support.nginx import Site as Served
from support.ports import free_port
from support.process import wait_for
from support.stored import CALLER, StoredSite

TEXT = b"<p>documentation</p>" * 100
NAMES = ("page.html", "x.php")


@pytest.fixture
def stored(memcached: Memcached) -> Iterator[StoredSite]:
    """A small site as a mount leaves it: pages, a link to one, and what is kept private."""
    stored = StoredSite(memcached)
    stored.write("/index.html", b"front page")
    stored.write("/docs/index.html", TEXT)
    stored.write("/docs/logo.png", bytes(range(256)) * 4)
    stored.write("/docs/draft.html", b"not yet", mode=0o600)
    stored.write("/.htaccess", b"secret")
    stored.link("/manual.html", "docs/index.html")
    stored.link("/nowhere", "gone.html")
    stored.close()
    yield stored
    stored.store.close()


def configuration(directory: Path, *sites: dict[str, Any]) -> Path:
    """Write the settings of `sites`, and return the file's path."""
    lines = [f'runtime_directory = "{directory}/runtime"']
    for site in sites:
        lines += ["[[sites]]", *(f'{key} = "{value}"' for key, value in site.items())]
    file = directory / "memfis.toml"
    file.write_text("\n".join(lines) + "\n")
    return file


def settings(stored: StoredSite) -> dict[str, Any]:
    return {"name": stored.site.name, "source": "store", "store": stored.site.store}


def one_line(done: "subprocess.CompletedProcess[str]", code: int, *words: str) -> None:
    assert done.returncode == code, done
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    for word in words:
        assert word in line


# -- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("site", "problem"),
    [
        ({"name": "a", "source": "disk"}, "sites[0].source: 'disk': expected 'root'"),
        ({"name": "a", "source": "store", "root": "/srv"}, "sites[0].root: a site whose source"),
        ({"name": "a", "source": "root"}, "sites[0].root: is missing"),
    ],
)
def test_settings_that_contradict_themselves(
    directory: Path, site: dict[str, Any], problem: str
) -> None:
    done = memfis("status", "--config", configuration(directory, site))
    assert done.returncode == 2
    assert problem in done.stderr


# -- sync ----------------------------------------------------------------------------------------


def test_sync_has_nothing_to_do(memcached: Memcached, stored: StoredSite, directory: Path) -> None:
    config = configuration(directory, settings(stored))
    before = memcached.items()
    for more in ((), ("--site", stored.site.name), ("--json",), ("--dry-run",)):
        done = memfis("sync", "--config", config, *more)
        one_line(done, 2, stored.site.name, "filled through a mount")
    assert memcached.items() == before


def test_sync_of_several_sites_leaves_it_out(
    memcached: Memcached, stored: StoredSite, filled: Filled, directory: Path
) -> None:
    rooted = {"name": "site.example", "root": filled.root, "store": stored.site.store}
    config = configuration(directory, settings(stored), rooted)
    before = memcached.items()
    done = memfis("sync", "--config", config)
    assert done.returncode == 0
    assert done.stderr == f"memfis: {stored.site.name}: left out, it is filled through a mount\n"
    assert "3 added" in done.stdout
    assert before < memcached.items()
    synced = memfis_json("sync", "--config", config)["sites"]
    assert [site["site"] for site in synced] == ["site.example"]


@pytest.mark.parametrize("configured", [False, True])
def test_no_web_root_is_synced_into_it(
    memcached: Memcached, stored: StoredSite, filled: Filled, directory: Path, configured: bool
) -> None:
    before = memcached.items()
    flags = ("--root", str(filled.root), *stored.flags())
    if configured:
        flags += ("--config", str(configuration(directory, settings(stored))))
    for more in ((), ("--dry-run",), ("--max-delete", "100%"), ("--checksum",)):
        one_line(memfis("sync", *flags, *more), 2, stored.site.name, "filled through a mount")
    assert memcached.items() == before


# -- agent ---------------------------------------------------------------------------------------


def test_agent_leaves_it_alone_and_shows_its_store(
    memcached: Memcached, stored: StoredSite, filled: Filled, new_agent: Agents
) -> None:
    metrics = filled.root.parent / "metrics.sock"
    agent = new_agent(settings={"metrics": f"unix:{metrics}"})
    agent.sites.append(settings(stored))
    before = memcached.items()
    agent.start(lambda: bool(agent.lines("site.example: 3 pages")))
    assert agent.lines("keeping site.example; leaving stored.example to a mount")
    assert before < memcached.items()
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(metrics))) as client:
        wait_for(
            lambda: (
                f'memfis_store_up{{store="{stored.site.store}"}} 1.0'
                in client.get("http://localhost/metrics").text
            ),
            "the store's figures",
        )
        assert "stored.example" not in client.get("http://localhost/metrics").text
    document = memfis_json("status", "--config", agent.config)
    assert [site["agent"] is None for site in document["sites"]] == [False, True]
    assert before < memcached.items()


def test_agent_without_another_site_says_what_its_store_loses(
    memcached: Memcached, stored: StoredSite, new_agent: Agents
) -> None:
    agent = new_agent()
    agent.sites[:] = [settings(stored)]
    before = memcached.items()
    agent.start(lambda: bool(agent.lines("leaving stored.example to a mount")))
    (pages,) = (len(before),)
    assert pages
    stored.store.set(b"unrelated", b"x")
    agent.tell(signal.SIGHUP)
    agent.hears("settings read again: leaving stored.example to a mount")
    wait_for(lambda: len(memcached.items()) == pages + 1, "nothing else")
    memcached.end()
    agent.hears("cannot be reached")
    memcached.start()
    agent.hears("was started anew", "unless it keeps its items on disk")
    assert memcached.items() == set()


def test_site_may_change_its_source(
    memcached: Memcached, filled: Filled, new_agent: Agents
) -> None:
    agent = new_agent()
    agent.start()
    pages = memcached.items()
    agent.sites[0] = {"name": filled.site.name, "source": "store"}
    agent.reload()
    assert agent.lines("settings read again: leaving site.example to a mount")
    (filled.root / "new.html").write_text("new")
    agent.sites[0] = {"name": filled.site.name, "root": filled.site.root}
    before = memcached.items()
    assert before == pages
    agent.reload()
    wait_for(filled.is_equal, "the site to be kept again")


def test_agent_does_not_sync_a_web_root_into_it(
    memcached: Memcached, stored: StoredSite, filled: Filled, new_agent: Agents
) -> None:
    before = memcached.items()
    agent = new_agent(site={"name": stored.site.name})
    agent.start(lambda: bool(agent.lines("filled through a mount")))
    for number in range(3):
        (filled.root / "new.html").write_text(f"version {number}")
        time.sleep(0.1)
    done = memfis("sync", "--config", agent.config)
    one_line(done, 2, "filled through a mount")
    assert memcached.items() == before
    assert len(agent.lines("filled through a mount")) == 1


def test_agent_stops_when_a_mount_took_the_site_over(
    memcached: Memcached, filled: Filled, agent: Agent
) -> None:
    """Somebody emptied the store, and a mount came before the agent filled it again."""
    item = SiteItem(source="store", epoch="other")
    Catalog(filled.store, filled.site.name).write_site_item(item)
    agent.tell(signal.SIGHUP)  # looks at the whole site only when its settings changed
    agent.sites[0]["max_delete"] = "40%"
    agent.reload()
    agent.hears("filled through a mount")
    before = memcached.items()
    (filled.root / "new.html").write_text("new")
    (filled.root / "index.html").unlink()
    time.sleep(0.5)
    assert memcached.items() == before


# -- verify --------------------------------------------------------------------------------------


def found_by_verify(stored: StoredSite) -> list[tuple[str, str]]:
    document = memfis("verify", *stored.flags(), "--json")
    [site] = json.loads(document.stdout)["sites"]
    assert document.returncode == (1 if site["differences"] else 0)
    return sorted((each["what"], each["path"]) for each in site["differences"])


def test_verify_compares_records_with_contents(stored: StoredSite) -> None:
    done = memfis("verify", *stored.flags())
    assert (done.returncode, done.stdout) == (0, "stored.example: 7 compared, 0 differ\n")


def test_verify_finds_every_kind_of_difference(stored: StoredSite) -> None:
    name, store = stored.site.name, stored.store
    store.delete_many([page_key(name, b"/docs/logo.png"), private_key(name, b"/.htaccess")])
    store.set(page_key(name, b"/"), b"defaced", 0)
    [state] = store.states([page_key(name, b"/docs/")])
    assert state is not None
    store.set(page_key(name, b"/docs/"), b"cut off", state.flags)
    store.set(page_key(name, b"/docs/draft.html"), b"not yet", 0)
    store.set(page_key(name, b"/nowhere"), b"x", 0)
    store.set(page_key(name, b"/stray.html"), b"stray")
    store.set(private_key(name, b"/docs/logo.png"), b"stray")
    store.set(directory_key(name, b"/lost/"), b"stray")
    assert found_by_verify(stored) == [
        ("damaged", "/docs/index.html"),
        ("different", "/index.html"),
        ("exposed", "/docs/draft.html"),
        ("exposed", "/nowhere"),
        ("missing", "/.htaccess"),
        ("missing", "/docs/logo.png"),
        ("stray", "memfis-dir://stored.example/lost/"),
        ("stray", "memfis-private://stored.example/docs/logo.png"),
        ("stray", "memfis://stored.example/stray.html"),
    ]


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_verify_names_every_page_that_modes_keep_private(stored: StoredSite, path: str) -> None:
    """As they are when a mount was killed while it took them away, or by one that knew it not."""
    name, store = stored.site.name, stored.store
    catalog = Catalog(store, name)
    if path == "/":
        item = catalog.site_item()
        assert item is not None
        assert item.top is not None
        catalog.write_site_item(replace(item, top=replace(item.top, mode=stat.S_IFDIR | 0o700)))
    else:
        [log] = catalog.logs([b"/"])
        assert log is not None
        closed = replace(log.entries["docs"], mode=stat.S_IFDIR | 0o700)
        catalog.append(b"/", [closed], {})
    closed_pages = ["/docs/index.html", "/docs/logo.png", "/manual.html"]  # the last leads there
    if path == "/":
        closed_pages.insert(2, "/index.html")
    assert found_by_verify(stored) == [("exposed", each) for each in closed_pages]


def test_verify_names_a_page_of_a_file_that_nobody_may_read(stored: StoredSite) -> None:
    catalog = Catalog(stored.store, stored.site.name)
    [log] = catalog.logs([b"/docs/"])
    assert log is not None
    catalog.append(b"/docs/", [replace(log.entries["logo.png"], mode=stat.S_IFREG | 0o600)], {})
    assert found_by_verify(stored) == [("exposed", "/docs/logo.png")]


@pytest.mark.parametrize("extensions", [(), ("html",)])
def test_verify_knows_the_names_that_the_site_refuses(
    memcached: Memcached, directory: Path, extensions: tuple[str, ...]
) -> None:
    stored = StoredSite(memcached)
    site = replace(stored.site, script_extensions=extensions)
    stored.files = open_site(stored.store, site, CALLER)
    stored.write("/page.html", b"page")
    stored.write("/x.php", b"no script here")
    public = stored.store.states([page_key(site.name, f"/{each}".encode()) for each in NAMES])
    stored.close()
    assert [each is not None for each in public] == ["html" not in extensions, True]
    config = directory / "memfis.toml"
    config.write_text(
        f'[[sites]]\nname = "{site.name}"\nsource = "store"\nstore = "{site.store}"\n'
        f"script_extensions = {json.dumps(extensions)}\n"
    )
    done = memfis("verify", "--config", config)
    assert (done.returncode, done.stdout) == (0, f"{site.name}: 2 compared, 0 differ\n")


def test_a_head_is_a_stray_unless_its_page_is_recorded(stored: StoredSite) -> None:
    name, store = stored.site.name, stored.store
    for path in (b"/", b"/docs/logo.png", b"/manual.html", b"/docs/draft.html", b"/stray.html"):
        store.set(head_key(name, path), encode_head(Head()))
    assert found_by_verify(stored) == [
        ("stray", "memfis-head://stored.example/docs/draft.html"),  # private: it has no page
        ("stray", "memfis-head://stored.example/stray.html"),
    ]


def test_verify_compares_a_link_with_what_it_leads_to(stored: StoredSite) -> None:
    name, store = stored.site.name, stored.store
    page = store.get(page_key(name, b"/"))
    assert page is not None
    [log] = Catalog(store, name).logs([b"/"])
    assert log is not None
    link = log.entries["manual.html"]
    # as a mount on another host would leave it that did not follow a change
    store.set(page_key(name, b"/manual.html"), *page)
    Catalog(store, name).append(b"/", [replace(link, flags=page.flags)], {})
    assert found_by_verify(stored) == [("different", "/manual.html")]
    docs = log.entries["docs"]
    Catalog(store, name).append(b"/", [replace(docs, name="elsewhere"), Entry("docs")], {})
    assert ("exposed", "/manual.html") in found_by_verify(stored)


@pytest.mark.parametrize("content", [b"not a log", None])
def test_verify_finds_records_that_are_damaged_or_lost(
    stored: StoredSite, content: bytes | None
) -> None:
    key = directory_key(stored.site.name, b"/docs/")
    if content is None:
        stored.store.delete_many([key])
    else:
        stored.store.set(key, content)
    found = found_by_verify(stored)
    assert ("records", "/docs/") in found
    assert ("exposed", "/manual.html") in found, "what it leads to is not known any more"
    assert ("stray", "memfis://stored.example/docs/logo.png") in found
    assert ("stray", "memfis-private://stored.example/docs/draft.html") in found


def test_verify_tells_of_a_move_that_was_interrupted(stored: StoredSite) -> None:
    catalog = Catalog(stored.store, stored.site.name)
    [log] = catalog.logs([b"/"])
    assert log is not None
    moved = replace(log.entries["docs"], name="manual", extended={MOVING: "/docs"})
    catalog.append(b"/", [moved], {})
    found = found_by_verify(stored)
    assert ("unfinished", "/manual/") in found
    assert ("records", "/manual/") in found
    mount = open_site(stored.store, stored.site, CALLER)
    assert mount.close() == []
    assert found_by_verify(stored) == []
    assert [name for name, _ in mount.names(b"/manual")] == [
        b"index.html",
        b"logo.png",
        b"draft.html",
    ]


def test_verify_finds_that_the_site_is_gone(
    memcached: Memcached, stored: StoredSite, directory: Path
) -> None:
    config = configuration(directory, settings(stored))
    stored.store.delete_many([site_key(stored.site.name)])
    done = memfis("verify", "--config", config)
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, "records /")
    memcached.end()
    memcached.start()
    done = memfis("verify", "--config", config)
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, "records /")


def test_verify_of_a_site_that_has_another_source(
    stored: StoredSite, filled: Filled, directory: Path
) -> None:
    filled.sync()
    config = configuration(directory, settings(stored) | {"name": filled.site.name})
    one_line(memfis("verify", "--config", config), 2, "kept equal to the web root")
    rooted = {"name": stored.site.name, "root": filled.root, "store": stored.site.store}
    config = configuration(directory, rooted)
    one_line(memfis("verify", "--config", config), 2, "filled through a mount")


def test_verify_while_files_change(stored: StoredSite) -> None:
    mount = open_site(stored.store, stored.site, CALLER)
    running = subprocess.Popen(
        [*COMMAND, "verify", *stored.flags()],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    number = 0
    while running.poll() is None:
        number += 1
        path = b"/page%d.html" % (number % 20)
        handle = mount.create(path, os.O_WRONLY | os.O_TRUNC, 0o644, CALLER)
        mount.write(handle, b"%d" % number * 100, 0)
        mount.flush(handle)
        mount.release(handle)
        if number % 3 == 0:
            mount.remove(path)
    assert running.communicate()[0].endswith(" 0 differ\n")
    assert running.returncode == 0
    mount.close()


@pytest.fixture
def served(stored: StoredSite, memcached: Memcached, directory: Path) -> Iterator[Served]:
    """The same site, by nginx."""
    address = f"127.0.0.1:{free_port()}"
    site = Served(
        directory,
        memcached,
        stored.site.name,
        source="store",
        listen=[address, f"unix:{directory}/{stored.site.name}.public"],
    )
    nginx = Nginx(directory, site, patient=True)
    nginx.start()
    yield site
    nginx.end()


def test_verify_by_http(stored: StoredSite, served: Served) -> None:
    url = f"http://{served.settings['listen'][0]}"
    done = memfis("verify", *stored.flags(), "--http", url)
    assert done.returncode == 0, done.stdout
    assert done.stdout == ("stored.example: 8 URLs compared (4 FALLBACK, 4 HIT), 0 differ\n")
    name = stored.site.name
    stored.store.set(page_key(name, b"/docs/draft.html"), b"not yet", 0)
    stored.store.delete_many([page_key(name, b"/docs/logo.png")])
    done = memfis("verify", *stored.flags(), "--http", url)
    assert done.returncode == 1
    assert set(done.stdout.splitlines()[:-1]) == {
        "/docs/draft.html: status: 200, not 404",
        "/docs/logo.png: status: 404, not 200",
    }


# -- the other commands --------------------------------------------------------------------------


def test_ls(stored: StoredSite) -> None:
    assert memfis("ls", *stored.flags()).stdout.splitlines() == [
        ".htaccess*",
        "docs/",
        "index.html",
        "manual.html",
        "nowhere*",
    ]
    long = memfis("ls", "-l", *stored.flags()).stdout.splitlines()
    assert [(line.split()[0], line.split(maxsplit=6)[6]) for line in long] == [
        ("-rw-r--r--", "private .htaccess"),
        ("drwxr-xr-x", "-       docs/"),
        ("-rw-r--r--", "plain   index.html"),
        ("lrwxrwxrwx", "gzip    manual.html -> docs/index.html"),
        ("lrwxrwxrwx", "-       nowhere -> gone.html"),
    ]
    entries = memfis_json("ls", *stored.flags(), "/docs/")["entries"]
    assert {each["name"]: each["stored"] for each in entries} == {
        "draft.html": "private",
        "index.html": "gzip",
        "logo.png": "plain",
    }


def test_cat(stored: StoredSite) -> None:
    for path in ("/docs/", "/docs/index.html", "/manual.html"):
        assert memfis("cat", *stored.flags(), path).stdout.encode() == TEXT
    one_line(memfis("cat", *stored.flags(), "/docs/draft.html"), 1, "kept private", "--private")
    assert memfis("cat", "--private", *stored.flags(), "/docs/draft.html").stdout == "not yet"
    assert memfis("cat", "--private", *stored.flags(), "/index.html").stdout == "front page"
    one_line(memfis("cat", "--private", *stored.flags(), "/absent"), 1, "not in the store")


def test_stat(stored: StoredSite) -> None:
    document = memfis_json("stat", *stored.flags(), "/docs/draft.html")
    assert document["page"] is None
    assert document["private"]["bytes"] == 7
    assert document["record"]["mode"] == "100600"
    assert memfis("stat", *stored.flags(), "/docs/draft.html").returncode == 0
    document = memfis_json("stat", *stored.flags(), "/docs/")
    assert document["private"] is None
    assert document["page"]["encoding"] == "gzip"
    document = memfis_json("stat", *stored.flags(), "/manual.html")
    assert document["record"]["target"] == "docs/index.html"


@pytest.mark.parametrize("configured", [False, True])
def test_status(stored: StoredSite, directory: Path, configured: bool) -> None:
    flags = stored.flags()
    if configured:
        flags = ("--config", str(configuration(directory, settings(stored))))
    [site] = memfis_json("status", *flags)["sites"]
    assert (site["source"], site["root"], site["agent"]) == ("store", None, None)
    assert (site["pages"], site["private"]) == (4, 2)
    assert site["bytes"] == 10 + len(TEXT) + 1024 + 7 + 6
    text = memfis("status", *flags).stdout
    assert "stored.example  in the store alone\n" in text
    assert "pages: 4; 2 files kept private" in text
    assert "may evict" in text
    assert "leaves this site to its mount" in text


def test_status_of_a_site_that_nobody_has_filled(stored: StoredSite, directory: Path) -> None:
    config = configuration(directory, settings(stored) | {"name": "new.example"})
    done = memfis("status", "--config", config)
    assert done.returncode == 0
    assert "the store does not know this site" in done.stdout
    [site] = memfis_json("status", "--config", config)["sites"]
    assert (site["known"], site["pages"]) == (False, 0)


# -- doctor --------------------------------------------------------------------------------------


def checks(document: Any, subject: str) -> dict[str, str]:
    return {f["check"]: f["status"] for f in document["findings"] if f["subject"] == subject}


def test_doctor_warns_where_the_store_evicts(stored: StoredSite, memcached: Memcached) -> None:
    before = memcached.items()
    done = memfis("doctor", *stored.flags())
    assert done.returncode == 1
    assert "a full store evicts pages that are nowhere else" in done.stdout
    assert "memcached's -M" in done.stdout
    document = memfis_json("doctor", *stored.flags())
    assert checks(document, "stored.example") == {
        "source": "ok",
        "evictions": "warning",
        "file size": "ok",
        "item limit": "ok",
    }
    [site] = document["sites"]
    assert (site["files"], site["directories"]) == (5, 2)
    assert document["inotify"]["watches"] == 0
    assert memcached.items() == before


def test_doctor_is_content_with_a_store_that_keeps_what_it_has(directory: Path) -> None:
    memcached = Memcached(directory, "-M")
    memcached.start()
    try:
        stored = StoredSite(memcached)
        config = configuration(directory, settings(stored))
        document = memfis("doctor", "--config", config, "--json")
        assert document.returncode == 1
        assert checks(json.loads(document.stdout), "stored.example")["source"] == "warning"
        stored.write("/index.html", b"front page")
        stored.close()
        done = memfis("doctor", "--config", config)
        assert (done.returncode, done.stderr) == (0, "")
        assert "a file may have 20,971,008 bytes" in done.stdout
    finally:
        memcached.end()


def fill(stored: StoredSite) -> None:
    """Write files until the store has no room."""
    for number in range(1000):
        stored.write(f"/{number}.bin", os.urandom(1_000_000))


def test_doctor_says_that_the_store_is_nearly_full(directory: Path) -> None:
    memcached = Memcached(directory, "-M")
    memcached.start()
    try:
        stored = StoredSite(memcached)
        with pytest.raises(OSError, match="No space left"):
            fill(stored)
        stored.store.close()
        done = memfis("doctor", *stored.flags())
    finally:
        memcached.end()
    assert done.returncode == 1
    assert "64 MiB of 64 MiB are given to items of one size or another" in done.stdout


def test_doctor_without_a_store(memcached: Memcached, stored: StoredSite, directory: Path) -> None:
    config = configuration(directory, settings(stored))
    memcached.end()
    done = memfis("doctor", "--config", config)
    assert done.returncode == 3
    assert "cannot be reached" in done.stdout


def test_doctor_of_a_site_that_has_another_source(
    stored: StoredSite, filled: Filled, directory: Path
) -> None:
    filled.sync()
    config = configuration(directory, settings(stored) | {"name": filled.site.name})
    done = memfis("doctor", "--config", config)
    assert done.returncode == 2
    assert "web root" in done.stdout


# -- the role ------------------------------------------------------------------------------------


def held(memcached: Memcached) -> tuple[int, list[str]]:
    """Return what the role sees in the store before it restarts it: exit code and names."""
    script = Path(__file__).parents[2] / "roles/memfis/files/stored_sites.py"
    done = subprocess.run(
        [sys.executable, script, memcached.socket], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout.split()


def test_role_sees_what_a_restart_would_lose(
    memcached: Memcached, stored: StoredSite, filled: Filled
) -> None:
    filled.sync()
    empty = StoredSite(memcached, "empty.example")
    empty.close()
    assert held(memcached) == (0, ["stored.example"])
    memcached.freeze()
    assert held(memcached)[0] != 0
    memcached.thaw()
    stored.store.delete_many(list(stored.store.all_keys()))
    assert held(memcached) == (0, [])
    memcached.end()
    assert held(memcached) == (0, [])
