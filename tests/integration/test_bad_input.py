"""Each bad input gets one clear line and the right exit code; the rest of the site is synced."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from integration.conftest import Filled
from support.command import COMMAND, WITHOUT_POWER, environment, memfis, memfis_json
from support.memcached import Memcached

BYTES_NAME = os.fsdecode(b"caf\xe9 \xff.html")


def one_line(done: "subprocess.CompletedProcess[str]", code: int, *words: str) -> None:
    """Assert exit code `code`, nothing on stdout, and one line on stderr that has `words`."""
    assert done.returncode == code, done
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    for word in words:
        assert word in line


def test_a_web_root_that_is_missing(filled: Filled) -> None:
    done = memfis("sync", "--root", "/nonexistent", "--name", "a", "--store", filled.site.store)
    one_line(done, 2, "/nonexistent", "No such file")


def test_a_web_root_that_is_a_file(filled: Filled) -> None:
    file = filled.root / "index.html"
    done = memfis("sync", "--root", file, "--name", "a", "--store", filled.site.store)
    one_line(done, 2, str(file), "not a directory")


def test_a_web_root_that_cannot_be_read(filled: Filled) -> None:
    filled.root.chmod(0)
    try:
        done = memfis("sync", *filled.flags(), powerless=True)
        one_line(done, 2, str(filled.root), "Permission denied")
    finally:
        filled.root.chmod(0o755)


@pytest.mark.parametrize("command", ["sync", "verify", "ls", "status"])
def test_a_store_that_cannot_be_reached(filled: Filled, memcached: Memcached, command: str) -> None:
    memcached.end()
    done = memfis(command, *filled.flags())
    assert done.returncode == 3
    [line] = [x for x in (done.stdout + done.stderr).splitlines() if "cannot be reached" in x]
    assert str(memcached.socket) in line


def test_a_store_that_is_frozen_is_given_up(filled: Filled, memcached: Memcached) -> None:
    memcached.freeze()
    one_line(memfis("sync", *filled.flags()), 3, "no answer in time")


def test_a_store_that_is_none(filled: Filled) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        server.listen()
        pid = os.fork()
        if pid == 0:
            connection, _ = server.accept()
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()
            os._exit(0)
        store = f"memcached://127.0.0.1:{port}"
        done = memfis("sync", "--root", filled.root, "--name", "a", "--store", store)
        os.waitpid(pid, 0)
    one_line(done, 3, store)


def test_a_configuration_with_three_errors(directory: Path) -> None:
    config = directory / "memfis.toml"
    config.write_text(
        'stor = "memcached://127.0.0.1"\n[[sites]]\nname = "A"\nroot = "relative/path"\n'
    )
    done = memfis("sync", "--config", config)
    assert done.returncode == 2
    assert [line.split(": ")[2] for line in done.stderr.splitlines()] == [
        "stor",
        "sites[0].name",
        "sites[0].root",
    ]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["sync"], "--root"),
        (["sync", "--root", "/tmp", "--name", "a_b"], "name"),
        (["sync", "--root", "/tmp", "--name", "a", "--store", "redis://x"], "memcached://"),
        (["sync", "--max-delete", "lots"], "max-delete"),
        (["sync", "--no-such-flag"], "--no-such-flag"),
        (["no-such-command"], "no-such-command"),
        (["key", "--name", "a", "../.."], "begins with '/'"),
        (["key", "--name", "a", "/../.."], "above the root"),
        (["sync", "--config", "/nonexistent.toml"], "/nonexistent.toml"),
    ],
)
def test_wrong_usage(arguments: list[str], word: str) -> None:
    done = memfis(*arguments)
    assert done.returncode == 2
    assert word in done.stderr


def test_one_bad_file_of_every_kind_and_the_others_are_synced(directory: Path) -> None:
    memcached = Memcached(directory, "-I", "1m")
    memcached.start()
    root = directory / "root"
    root.mkdir()
    (root / "good.html").write_text("good")
    (root / "large.bin").write_bytes(os.urandom(1_100_000))
    (root / ("x" * 240)).write_text("long")
    (root / BYTES_NAME).write_text("not UTF-8")
    (root / "dangling").symlink_to("nowhere")
    (root / "circle").symlink_to("circle")
    (root / "loop").symlink_to(".")
    (root / "outside").symlink_to("/etc/hostname")
    (root / "secret.html").write_text("secret")
    (root / "secret.html").chmod(0o000)
    os.mkfifo(root / "pipe")
    config = directory / "memfis.toml"
    config.write_text(
        f'store = "memcached://{memcached.socket}"\nmax_page = 5_000_000\n'
        f'[[sites]]\nname = "a"\nroot = "{root}"\n'
    )
    flags = ("--config", config)
    try:
        done = memfis("sync", *flags, powerless=True)
        listed = memfis("ls", *flags).stdout.splitlines()
        cat = memfis("cat", *flags, "/good.html").stdout
    finally:
        memcached.end()
    assert done.returncode == 1
    lines = {
        line.removeprefix("memfis: a: /").partition(": ")[::2] for line in done.stderr.splitlines()
    }
    reasons = dict(lines)
    expected = {
        "large.bin": "object too large",
        "x" * 240: "key too long",
        "dangling": "dangling symbolic link",
        "circle": "circular symbolic link",
        "loop": "circular symbolic link",
        "outside": "out of the web root",
        "secret.html": "Permission denied" if os.geteuid() == 0 else "not readable",
        "pipe": "FIFO",
    }
    assert set(reasons) == set(expected)
    for name, reason in expected.items():
        assert reason in reasons[name]
    assert "caf\\xe9 \\xff.html" in listed
    assert "good.html" in listed
    assert cat == "good"


def test_bad_files_are_in_the_json_document(filled: Filled) -> None:
    (filled.root / "dangling").symlink_to("nowhere")
    [site] = memfis_json("sync", *filled.flags())["sites"]
    assert site["problems"] == [{"path": "/dangling", "reason": "dangling symbolic link"}]
    assert site["added"] == 3


def test_a_link_to_what_is_never_served_is_not_stored(filled: Filled) -> None:
    (filled.root / ".env").write_text("PASSWORD=x")
    (filled.root / "env.txt").symlink_to(".env")
    done = memfis("sync", *filled.flags())
    assert "env.txt: symbolic link to a name that is never served" in done.stderr
    assert not [path for path in filled.pages() if b"env" in path]


def test_an_unreadable_configuration(directory: Path) -> None:
    config = directory / "memfis.toml"
    config.write_text("")
    config.chmod(0)
    done = memfis("status", env=environment(MEMFIS_CONFIG=str(config)), powerless=True)
    one_line(done, 2, str(config), "Permission denied")


@pytest.mark.parametrize("links", [3])
def test_links_between_directories_do_not_multiply_without_end(filled: Filled, links: int) -> None:
    for one in range(links):
        (filled.root / f"d{one}").mkdir()
        (filled.root / f"d{one}" / "page.html").write_text("page")
        for other in range(links):
            if other != one:
                (filled.root / f"d{one}" / f"to{other}").symlink_to(f"../d{other}")
    report = filled.sync()
    assert report.pages == 3 + links + links * (links - 1)
    assert "linked directory in a linked directory" in report.skipped or report.problems


def test_a_file_that_nginx_may_not_read_is_named(filled: Filled) -> None:
    config = filled.root.parent / "memfis.toml"
    config.write_text(
        f'reader = "nobody"\n[[sites]]\nname = "site.example"\nroot = "{filled.root}"\n'
        f'store = "{filled.site.store}"\n'
    )
    (filled.root / "index.html").chmod(0o600)
    (filled.root / "docs").chmod(0o700)
    done = memfis("sync", "--config", config)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "memfis: site.example: /docs: not readable for nginx's user nobody (drwx------)",
        "memfis: site.example: /index.html: not readable for nginx's user nobody (-rw-------)",
    ]
    filled.root.chmod(0o700)
    done = memfis("sync", "--config", config)
    one_line(done, 2, "nginx's user nobody may not enter", str(filled.root))


@pytest.mark.parametrize("kind", ["a file", "a circle"])
def test_a_root_that_is_none_loses_no_page(filled: Filled, kind: str) -> None:
    filled.sync()
    before = filled.pages()
    filled.root.rename(filled.root.with_name("aside"))
    if kind == "a file":
        filled.root.write_text("file")
    else:
        filled.root.symlink_to(filled.root)
    done = memfis("sync", *filled.flags())
    one_line(done, 2, str(filled.root))
    assert filled.pages() == before


def test_a_default_configuration_for_others_only_does_not_matter_to_whoever_names_all(
    filled: Filled,
) -> None:
    closed = filled.root.parent / "closed"
    closed.mkdir(mode=0o000)
    script = (
        "import pathlib, sys; from memfis.settings import load\n"
        f"load.DEFAULT_PATH = pathlib.Path({str(closed / 'memfis.toml')!r})\n"
        "from memfis.commands import main; main(sys.argv[1:])"
    )
    prefix = WITHOUT_POWER if os.geteuid() == 0 else ()
    command = [*prefix, COMMAND[0], "-c", script, "status"]
    done = subprocess.run(
        [*command, *filled.flags()], capture_output=True, text=True, timeout=60, env=environment()
    )
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment())
    one_line(done, 2, str(closed / "memfis.toml"), "is not for you to read: use sudo")
