"""nginx in front of a site that is filled through a mount."""

import gzip
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.agent import toml
from support.http import Answer, quote
from support.mount import mounted
from support.nginx import Site, Web
from support.reader import READER
from support.slow_store import SlowStore

CHANGES = 300
"""In the race with visitors."""


@pytest.fixture
def web(directory: Path) -> Iterator[Web]:
    web = Web(directory, "-M")
    yield web
    web.end()


@pytest.fixture
def site(web: Web) -> Site:
    site = web.site(source="store", max_page=1 << 20)
    web.start()
    return site


@contextmanager
def mount_of(site: Site, web: Web) -> Iterator[Path]:
    """A mount that tells nginx, where that reads by Lua."""
    table = {"name": site.name, "source": "store", "from_memory": READER}
    if READER == "lua":
        table["first_level"] = os.fspath(web.nginx.told)
    config = web.directory / "mount.toml"
    config.write_text(toml({}, [table]))
    with mounted(web.directory, web.store.socket, "--config", str(config)) as mount:
        yield mount.path


@pytest.fixture
def root(web: Web, site: Site) -> Iterator[Path]:
    with mount_of(site, web) as root:
        yield root


def hit(answer: Answer, body: bytes, kind: str) -> None:
    """Check that the answer is a page from memory."""
    assert (answer.status, answer.source) == (200, "HIT")
    assert answer.header("Content-Type") == kind
    assert answer.body == body


def test_what_is_copied_is_served(root: Path, site: Site) -> None:
    (root / "docs").mkdir()
    page, script = b"<p>page</p>\n" * 200, b"var x = 1;\n" * 200
    logo = os.urandom(5000)
    (root / "index.html").write_bytes(page)
    (root / "docs" / "index.html").write_bytes(page[::-1])
    (root / "docs" / "code.js").write_bytes(script)
    (root / "docs" / "logo.png").write_bytes(logo)
    hit(site.get("/"), page, "text/html")
    hit(site.get("/index.html"), page, "text/html")
    hit(site.get("/docs/"), page[::-1], "text/html")
    hit(site.get("/docs/code.js"), script, "application/javascript")
    hit(site.get("/docs/logo.png"), logo, "image/png")
    packed = site.get("/docs/code.js", headers={"Accept-Encoding": "gzip"})
    assert (packed.source, packed.header("Content-Encoding")) == ("HIT", "gzip")
    assert gzip.decompress(packed.body) == script
    (root / "docs" / "code.js").unlink()
    assert site.get("/docs/code.js").status == 404


def test_nginx_sees_the_old_page_or_the_new_one(root: Path, site: Site) -> None:
    old, new = b"old page\n" * 5000, b"new page\n" * 9000
    (root / "page.txt").write_bytes(old)
    with (root / "page.txt").open("wb", buffering=0) as file:
        for start in range(0, len(new), 10_000):
            file.write(new[start : start + 10_000])
            hit(site.get("/page.txt"), old, "text/plain")
    hit(site.get("/page.txt"), new, "text/plain")
    (root / "next").write_bytes(old)
    with (root / "page.txt").open("rb"):  # who has it open must not let it vanish
        (root / "next").rename(root / "page.txt")
        hit(site.get("/page.txt"), old, "text/plain")


NAMES = (b"a b.html", b"100%.html", b"caf\xe9.html", b"x?attr", b"x#y", b"\x7f\x01.html", b"%3F")


def test_any_name(root: Path, site: Site) -> None:
    for name in NAMES:
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_bytes(b"<%b>" % name)
    for name in NAMES:
        answer = site.get(quote(b"/" + name))
        assert (answer.source, answer.body) == ("HIT", b"<%b>" % name)


def test_metadata_cannot_be_asked_for(root: Path, site: Site) -> None:
    (root / "page.html").write_text("page")
    (root / "d").mkdir()
    (root / "d" / ".secret").write_text("secret")
    (root / "d" / "private").write_text("secret")
    (root / "d" / "private").chmod(0o600)
    os.setxattr(root / "page.html", "user.note", b"secret")
    name = site.name
    for target in (
        *("/page.html%3Fattr", "/page.html%3fdir", "/%3Fattr", "/d%3Fattr", "/d/%3Fdir", "/d/"),
        *("/d/private", "/d/.secret", "/d/%2Esecret", "//d//private", "/d/./private"),
        *(
            f"/memfis-dir://{name}/",
            f"/../memfis-dir://{name}/",
            f"/%0d%0aget memfis-dir://{name}/",
        ),
        *(f"/%0d%0aget%20memfis-private://{name}/d/private", "/page.html%00", "/page.html%20"),
        *("/page.html/", "/d", "/.fuse_hidden0000000200000001"),
    ):
        answer = site.get(target)
        assert answer.status in (301, 400, 403, 404), target
        assert b"secret" not in answer.body
        assert b"memfis" not in answer.body.replace(b"memfis-", b"", 0)[:0], target
        assert answer.source != "HIT", target


def test_what_nginx_may_not_read_is_not_served(root: Path, site: Site) -> None:
    for name in (".env", "page.php", "backup.html~", "include.inc", "secret.html"):
        (root / name).write_text("secret")
    (root / "secret.html").chmod(0o600)
    (root / "closed").mkdir(mode=0o700)
    (root / "closed" / "page.html").write_text("secret")
    (root / "closed" / "deep").mkdir()
    (root / "closed" / "deep" / "page.html").write_text("secret")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("secret")
    paths = (
        *("/.env", "/page.php", "/backup.html~", "/include.inc", "/secret.html"),
        *("/closed/page.html", "/closed/deep/page.html", "/.git/config"),
    )
    for path in paths:
        answer = site.get(path)
        assert answer.status in (403, 404), path
        assert b"secret" not in answer.body
        assert (root / path[1:]).read_text() == "secret"


def test_chmod_moves_in_and_out(root: Path, site: Site) -> None:
    (root / "d" / "e").mkdir(parents=True)
    (root / "page.html").write_text("page")
    (root / "d" / "e" / "page.html").write_text("deep")
    (root / "page.html").chmod(0o600)
    assert site.get("/page.html").status == 404
    (root / "page.html").chmod(0o644)
    hit(site.get("/page.html"), b"page", "text/html")
    (root / "d").chmod(0o700)
    assert site.get("/d/e/page.html").status == 404
    assert (root / "d" / "e" / "page.html").read_text() == "deep"
    (root / "d").chmod(0o711)
    hit(site.get("/d/e/page.html"), b"deep", "text/html")
    (root / "d").rename(root / ".d")
    assert site.get("/d/e/page.html").status == 404
    assert site.get("/.d/e/page.html").status in (403, 404)
    (root / ".d").rename(root / "f")
    hit(site.get("/f/e/page.html"), b"deep", "text/html")
    root.chmod(0o700)
    assert site.get("/page.html").status == 404
    root.chmod(0o755)
    hit(site.get("/page.html"), b"page", "text/html")
    if os.geteuid() == 0:  # nginx is in its own group
        (root / "page.html").chmod(0o640)
        assert site.get("/page.html").status == 404
        os.chown(root / "page.html", -1, 33)
        hit(site.get("/page.html"), b"page", "text/html")


def test_links_are_served_by_their_own_name(root: Path, site: Site) -> None:
    (root / "d").mkdir()
    (root / "page.html").write_text("first")
    (root / "link.html").symlink_to("page.html")
    (root / "d" / "up.html").symlink_to("../link.html")
    (root / "early.html").symlink_to("late.html")
    (root / "circle.html").symlink_to("circle.html")
    (root / "out.html").symlink_to("/etc/hostname")
    (root / "env.html").symlink_to(".env")
    (root / ".env").write_text("secret")
    hit(site.get("/link.html"), b"first", "text/html")
    hit(site.get("/d/up.html"), b"first", "text/html")
    for path in ("/early.html", "/circle.html", "/out.html", "/env.html"):
        assert site.get(path).status == 404, path
    (root / "page.html").write_text("second")
    (root / "late.html").write_text("late")
    hit(site.get("/link.html"), b"second", "text/html")
    hit(site.get("/d/up.html"), b"second", "text/html")
    hit(site.get("/early.html"), b"late", "text/html")
    (root / "page.html").chmod(0o600)
    assert site.get("/link.html").status == 404
    (root / "page.html").chmod(0o644)
    (root / "new").symlink_to("late.html")
    (root / "new").rename(root / "link.html")
    hit(site.get("/link.html"), b"late", "text/html")
    hit(site.get("/d/up.html"), b"late", "text/html")
    (root / "late.html").unlink()
    for path in ("/link.html", "/d/up.html", "/early.html"):
        assert site.get(path).status == 404, path


@pytest.mark.skipif(READER != "lua", reason="memcached_pass has no validators")
def test_what_changed_is_not_said_to_be_the_same(root: Path, site: Site) -> None:
    """Also where size and time are as before."""
    page = root / "page.html"
    seen = {}
    for content in (b"one", b"two"):
        page.write_bytes(content)
        os.utime(page, (10**9, 10**9))
        answer = site.get("/page.html")
        hit(answer, content, "text/html")
        seen[content] = answer.header("ETag")
        for before in filter(None, seen.values()):
            again = site.get("/page.html", headers={"If-None-Match": before})
            assert again.status == (304 if before == seen[content] else 200)
    page.chmod(0o600)
    assert site.get("/page.html", headers={"If-None-Match": "*"}).status == 404
    page.chmod(0o644)
    page.rename(root / "other.html")
    assert site.get("/other.html").header("ETag") == seen[b"two"]


def test_nothing_old_after_a_change_returned(directory: Path) -> None:
    """A page is written, replaced, removed, closed and opened, while nginx fetches it slowly."""
    web = Web(directory, "-M")
    slow = SlowStore(directory / "slow.sock", web.store.socket, 0.004)
    slow.start()
    site = web.site(source="store", store_address=slow.address)
    wrong: list[str] = []
    ended = threading.Event()
    shown = [0]  # the least number that may be shown
    now: list[int] | None = shown  # what is to be shown; None: it changes

    def read() -> None:
        while not ended.is_set():
            least, before = shown, now
            answer = site.get("/page.txt")
            body = [int(answer.body)] if answer.status == 200 else []
            if (body and body < least) or (before is now is not None and body != before):
                wrong.append(f"{body} instead of {before}, at least {least}")

    readers = [threading.Thread(target=read) for _ in range(4)]
    try:
        web.start(workers=2)
        with mount_of(site, web) as root:
            page, other = root / "page.txt", root / "other.txt"
            page.write_text("0")
            for reader in readers:
                reader.start()
            for number in range(1, CHANGES + 1):
                now = None
                match number % 4:
                    case 0:
                        page.write_text(f"{number}")
                    case 1:
                        other.write_text(f"{number}")
                        other.rename(page)
                    case 2:
                        page.unlink()
                    case 3:
                        page.write_text(f"{number}")
                        page.chmod(0o600)
                shown, now = [number], [] if number % 4 > 1 else [number]
                if number % 4 == 3:
                    time.sleep(0.002)
                    now = None
                    page.chmod(0o644)
                    now = [number]
                time.sleep(random.random() * 0.004)
    finally:
        ended.set()
        for reader in filter(threading.Thread.is_alive, readers):
            reader.join()
        web.end()
        slow.end()
    assert not wrong, wrong[:5]
