"""nginx in front of a site that is filled through a mount."""

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.http import Answer, quote
from support.mount import mounted
from support.nginx import Site, Web


@pytest.fixture
def web(directory: Path) -> Iterator[Web]:
    web = Web(directory, "-M")
    yield web
    web.end()


@pytest.fixture
def site(web: Web) -> Site:
    site = web.site(max_page=1 << 20)
    web.start()
    return site


@pytest.fixture
def root(web: Web, site: Site) -> Iterator[Path]:
    with mounted(web.directory, web.store.socket) as mount:
        yield mount.path


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
