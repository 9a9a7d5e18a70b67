"""`memfis doctor` says what then happens: real memcached, real trees, real kernel limits."""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from integration.conftest import Filled
from memfis.doctor.kernel import watched
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import Site
from memfis.store import Store
from memfis.watch import TreeWatcher
from support.command import COMMAND, environment, memfis, memfis_json
from support.documentation import LARGE, documentation
from support.memcached import Memcached, small_items

MEBIBYTE = 1024 * 1024

TREES = {
    "a Java API": LARGE,
    "Python's documentation": tuple(f"python3.{number}-doc" for number in (11, 12, 13, 14)),
}


@contextmanager
def running(directory: Path, *options: str) -> Iterator[Memcached]:
    memcached = Memcached(directory, *options)
    memcached.start()
    try:
        yield memcached
    finally:
        memcached.end()


def flags(root: Path, memcached: Memcached) -> tuple[str, ...]:
    store = f"memcached://{memcached.socket}"
    return ("--root", str(root), "--name", "docs.example", "--store", store)


def found(document: Any, check: str, subject: str = "") -> list[Any]:
    """Return the findings of one kind."""
    return [
        finding
        for finding in document["findings"]
        if finding["check"] == check and finding["subject"].endswith(subject)
    ]


def what_is_wrong(document: Any) -> list[tuple[str, str]]:
    return [(f["check"], f["status"]) for f in document["findings"] if f["status"] != "ok"]


def random_pages(root: Path, number: int, size: int) -> None:
    """Make pages that no compressor makes smaller."""
    root.mkdir(exist_ok=True)
    for page in range(number):
        (root / f"{page}.png").write_bytes(os.urandom(size))


def test_a_site_that_fits_and_nothing_is_changed(filled: Filled, memcached: Memcached) -> None:
    names = sorted(filled.root.rglob("*"))
    done = memfis("doctor", *filled.flags())
    assert (done.returncode, done.stderr) == (0, "")
    *lines, last = done.stdout.splitlines()
    assert {line.split()[0] for line in lines} == {"ok"}
    assert last.startswith("all fits")
    assert "3 files" in done.stdout
    assert memcached.items() == set()
    assert sorted(filled.root.rglob("*")) == names


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        ((), 0.06),
        # 62 classes end at 30 kB: each page above takes half a MiB, so a few of them weigh much
        (("-I", "1m", "-f", "1.1"), 0.12),
    ],
    ids=["default", "fine-classes"],
)
@pytest.mark.parametrize("packages", TREES.values(), ids=TREES)
def test_memory_is_estimated_within_a_few_per_cent(
    directory: Path, packages: tuple[str, ...], options: tuple[str, ...], tolerance: float
) -> None:
    root = documentation(*packages).resolve()
    with running(directory, "-m", "1024", *options) as memcached:
        [store] = memfis_json("doctor", *flags(root, memcached))["stores"]
        assert memfis("sync", *flags(root, memcached)).returncode in (0, 1)  # dangling links
        used = memcached.stats()
        with memcached.client() as client:
            memory = client.stats("slabs")[b"total_malloced"]
    assert used[b"evictions"] == 0
    assert store["needed"] == pytest.approx(memory, rel=tolerance)
    assert store["item_bytes"] == pytest.approx(used[b"bytes"], rel=0.03)
    assert store["items"] == pytest.approx(used[b"curr_items"], rel=0.005)


def test_too_little_memory_is_said_and_the_advice_is_enough(directory: Path) -> None:
    root = directory / "root"
    random_pages(root, 300, 100_000)
    with running(directory, "-m", "16", "-I", "1m") as memcached:
        done = memfis("doctor", *flags(root, memcached))
        memfis("sync", *flags(root, memcached))
        evictions = memcached.stats()[b"evictions"]
    assert done.returncode == 1
    assert "problem" in done.stdout
    assert isinstance(evictions, int)
    assert evictions > 0
    [advice] = [line for line in done.stdout.splitlines() if "raise memfis_store_memory" in line]
    advised = advice.split("at least ")[1].removesuffix(" MiB")
    with running(directory, "-m", advised, "-I", "1m") as memcached:
        assert memfis("doctor", *flags(root, memcached)).returncode == 0
        memfis("sync", *flags(root, memcached))
        assert memcached.stats()[b"evictions"] == 0


def test_a_full_store_without_evictions_is_said_to_refuse(directory: Path) -> None:
    root = directory / "root"
    random_pages(root, 300, 100_000)
    with running(directory, "-m", "16", "-I", "1m", "-M") as memcached:
        document = memfis_json("doctor", *flags(root, memcached))
        refused = memfis_json("sync", *flags(root, memcached))["sites"][0]["problems"]
    [memory] = found(document, "memory")
    assert memory["status"] == "problem"
    assert "refuses" in memory["message"]
    assert refused


def test_sites_that_share_a_store_are_added_up(directory: Path) -> None:
    config = directory / "memfis.toml"
    with running(directory, "-m", "48") as memcached:
        tables = [f'store = "memcached://{memcached.socket}"\n']
        for name in ("one", "two"):
            random_pages(directory / name, 250, 100_000)
            tables.append(f'[[sites]]\nname = "{name}"\nroot = "{directory / name}"\n')
        config.write_text("".join(tables))
        for name in ("one", "two"):
            assert memfis("doctor", "--config", config, "--site", name).returncode == 0
        document = memfis_json("doctor", "--config", config)
    assert what_is_wrong(document) == [("memory", "problem")]
    assert len(document["stores"]) == 1
    assert document["stores"][0]["needed"] > 48 * MEBIBYTE


def test_without_a_store_the_disk_is_examined_all_the_same(
    filled: Filled, memcached: Memcached
) -> None:
    (filled.root / "dangling").symlink_to("nowhere")
    memcached.end()
    done = memfis("doctor", *filled.flags(), "--json")
    assert (done.returncode, done.stderr) == (3, "")
    document = json.loads(done.stdout)
    assert what_is_wrong(document) == [("files", "warning"), ("store", "problem")]
    assert str(memcached.socket) in found(document, "store")[0]["message"]
    assert document["sites"][0]["files"] == 3
    assert document["stores"][0]["limit"] is None


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"STAT pid 1\r\nEND\r\n", b"", b"\xff" * 9000]
)
def test_a_store_that_answers_nonsense(filled: Filled, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        store = f"memcached://127.0.0.1:{server.getsockname()[1]}"
        done = memfis("doctor", "--root", filled.root, "--name", "a", "--store", store)
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert done.returncode == 3
    assert "3 files" in done.stdout
    assert [store in line for line in done.stdout.splitlines() if "problem " in line] == [True]


def test_a_frozen_store(filled: Filled, memcached: Memcached) -> None:
    memcached.freeze()
    done = memfis("doctor", *filled.flags())
    assert done.returncode == 3
    assert "no answer in time" in done.stdout


def test_pages_over_the_item_limit(directory: Path) -> None:
    root = directory / "root"
    random_pages(root, 2, 1_100_000)
    (root / "small.html").write_text("small")
    config = directory / "memfis.toml"
    with running(directory, "-I", "1m") as memcached:
        config.write_text(
            f'store = "memcached://{memcached.socket}"\nmax_page = 5_000_000\n'
            f'[[sites]]\nname = "a"\nroot = "{root}"\n'
        )
        document = memfis_json("doctor", "--config", config)
        refused = memfis_json("sync", "--config", config)["sites"][0]["problems"]
    [limit] = found(document, "item limit")
    assert limit["status"] == "warning"
    assert "2 pages" in limit["message"]
    assert limit["examples"] == sorted(problem["path"] for problem in refused)


def test_directories_whose_records_are_over_the_item_limit(directory: Path) -> None:
    root = directory / "root"
    (root / "large").mkdir(parents=True)
    (root / "index.html").write_text("index")
    for page in range(500):
        (root / "large" / f"{page}.html").write_text(str(page))
    with running(directory, *small_items()) as memcached:
        done = memfis("doctor", *flags(root, memcached), "--json")
        problems = memfis_json("sync", *flags(root, memcached))["sites"][0]["problems"]
    assert done.returncode == 1
    [limit] = found(json.loads(done.stdout), "item limit")
    assert (limit["status"], limit["examples"]) == ("problem", ["/large/"])
    assert [problem["path"] for problem in problems] == ["/large/"]


def test_every_file_that_sync_leaves_to_the_disk_is_counted_by_reason(filled: Filled) -> None:
    root = filled.root
    (root / ("x" * 240)).write_text("long")
    (root / "caf\udce9 \n\x1b[31m.html").symlink_to("nowhere")
    (root / "circle").symlink_to("circle")
    (root / "outside").symlink_to("/etc/hostname")
    (root / "secret.html").write_text("secret")
    (root / "secret.html").chmod(0o000)
    os.mkfifo(root / "pipe")
    (root / ".env").write_text("PASSWORD=x")
    (root / "large.bin").write_bytes(os.urandom(200_000))
    config = root.parent / "memfis.toml"
    config.write_text(
        f'store = "{filled.site.store}"\nreader = "daemon"\n'
        f'[[sites]]\nname = "a"\nroot = "{root}"\n'
    )
    root.chmod(0o755)
    done = memfis("doctor", "--config", config, "--json", powerless=True)
    assert done.returncode == 1
    [site] = json.loads(done.stdout)["sites"]
    [synced] = json.loads(memfis("sync", "--config", config, "--json", powerless=True).stdout)[
        "sites"
    ]
    assert site["skipped"] == synced["skipped"]
    assert sum(site["problems"].values()) == len(synced["problems"]) == 6
    assert site["problems"] == {
        "key too long": 1,
        "dangling symbolic link": 1,
        "circular symbolic link": 1,
        "symbolic link out of the web root": 1,
        "not readable for nginx's user daemon": 1,
        "not a regular file but a FIFO": 1,
    }
    assert site["files"] == synced["pages"] == 3
    said = memfis("doctor", "--config", config, powerless=True).stdout
    assert "/caf\\xe9 \\n\\x1b[31m.html" in said
    assert "\x1b[31m" not in said


def test_what_nginx_can_read_and_this_user_cannot(filled: Filled) -> None:
    theirs = filled.root / "theirs.html"
    theirs.write_text("for others only")
    theirs.chmod(0o004)
    config = filled.root.parent / "memfis.toml"
    config.write_text(
        f'store = "{filled.site.store}"\nreader = "daemon"\n'
        f'[[sites]]\nname = "a"\nroot = "{filled.root}"\n'
    )
    document = json.loads(memfis("doctor", "--config", config, "--json", powerless=True).stdout)
    assert what_is_wrong(document) == [("permissions", "warning")]
    [permissions] = found(document, "permissions")
    assert permissions["examples"] == ["/theirs.html"]
    assert f"this user, {document['user']}, cannot" in permissions["message"]
    assert document["sites"][0]["unreadable"] == 1
    assert document["sites"][0]["files"] == 3


def test_a_web_root_that_cannot_be_one_and_the_other_site(filled: Filled) -> None:
    config = filled.root.parent / "memfis.toml"
    config.write_text(
        f'store = "{filled.site.store}"\n'
        f'[[sites]]\nname = "gone"\nroot = "/nonexistent"\n'
        f'[[sites]]\nname = "file"\nroot = "{filled.root}/index.html"\n'
        f'[[sites]]\nname = "there"\nroot = "{filled.root}"\n'
    )
    done = memfis("doctor", "--config", config, "--json")
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert what_is_wrong(document) == [("web root", "problem"), ("web root", "problem")]
    assert [site["site"] for site in document["sites"]] == ["there"]


def test_an_empty_web_root(filled: Filled) -> None:
    empty = filled.root.parent / "empty"
    empty.mkdir()
    document = memfis_json("doctor", "--root", empty, "--name", "a", "--store", filled.site.store)
    assert what_is_wrong(document) == [("web root", "warning")]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no site"),
        ('stor = "x"', "did you mean 'store'"),
        ('[[sites]]\nname = "a"\nroot = "/tmp"\nexclude = ["!"]', "sites[0]"),
        ('[[sites]]\nname = "a"\nroot = "/tmp"\nstore = "redis://x"', "memcached://HOST"),
        ('reader = "nobody-of-that-name"\n[[sites]]\nname = "a"\nroot = "/tmp"', "no such user"),
    ],
)
def test_a_configuration_that_cannot_be_used(directory: Path, text: str, word: str) -> None:
    config = directory / "memfis.toml"
    config.write_text(text)
    done = memfis("doctor", "--config", config)
    assert done.returncode == 2
    assert word in done.stdout + done.stderr


def in_namespace(setup: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run `memfis` in a user and mount namespace of its own, after the shell commands `setup`."""
    words = [str(word) for word in (*COMMAND, *arguments)]
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    return subprocess.run(
        [*command, f'set -e; {setup}; exec "$@"', "sh", *words],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
    )


def test_limits_of_inotify_that_are_too_low(filled: Filled) -> None:
    for number in range(50):
        (filled.root / ".git" / str(number)).mkdir(parents=True)  # watched, though excluded
    low = "echo 40 > /proc/sys/user/max_inotify_watches"
    done = in_namespace(low, "doctor", *filled.flags(), "--json")
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert what_is_wrong(document) == [("inotify", "warning")]
    advised = document["inotify"]["advised"]["user.max_inotify_watches"]
    assert f"sysctl user.max_inotify_watches={advised}" in found(document, "inotify")[0]["advice"]
    enough = f"echo {advised} > /proc/sys/user/max_inotify_watches"
    assert in_namespace(enough, "doctor", *filled.flags()).returncode == 0


def test_as_many_watches_are_counted_as_the_agent_takes(filled: Filled) -> None:
    (filled.root / "a" / "b" / "c").mkdir(parents=True)
    (filled.root / "again").symlink_to("a")
    root = os.fsencode(filled.root.resolve())
    watcher = TreeWatcher(root)
    watcher.start()
    try:
        told = Path(f"/proc/self/fdinfo/{watcher.fileno()}").read_text()
    finally:
        watcher.close()
    assert watched(root) == told.count("inotify wd:")


def test_what_is_mounted_in_a_web_root_is_named(filled: Filled) -> None:
    (filled.root / "a media").mkdir()
    mount = f"mount -t tmpfs none '{filled.root}/a media'"
    done = in_namespace(mount, "doctor", *filled.flags())
    assert done.returncode == 0, done.stderr
    assert f"file system: tmpfs at {filled.root}/a media: " in done.stdout


def test_what_already_runs_fits_too(filled: Filled) -> None:
    filled.sync()
    before = _meta(filled.site)
    assert memfis("doctor", *filled.flags()).returncode == 0
    assert _meta(filled.site) == before


def _meta(site: Site) -> dict[bytes, object]:
    store = Store(StoreAddress.parse(site.store))
    try:
        keys = sorted(store.all_keys())
        return dict(zip(keys, store.states(keys), strict=True))
    finally:
        store.close()
