"""What one visitor's request may do to the next one's page; what the agent is told and asked."""

import hashlib
import http.server
import json
import os
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.http import Answer, Connection
from support.nginx import Site, Web
from support.php import FRONT, PhpFpm, asked, site_with
from support.ports import free_port
from support.process import unprivileged, wait_for

VISITOR = {"Cookie": "PHPSESSID=1"}


def token(answer: Answer) -> str:
    """Return what tells one run of FRONT from every other."""
    assert answer.status == 200
    return str(json.loads(answer.body)["token"])


def cached(site: Site, path: str) -> Path:
    """Return where nginx keeps a page for this second, as the agent finds it."""
    key = f"memfis://{site.name}{path} {int(time.time())}".encode()
    directory = Path(site.settings["php"]["microcache"])
    return directory / hashlib.md5(key, usedforsecurity=False).hexdigest()


def early() -> None:
    """Wait until most of a second is left: PHP's answers are shared in one second."""
    gone = time.time() % 1
    if gone > 0.3:
        time.sleep(1.01 - gone)


def test_a_page_is_kept_for_a_second_and_no_longer(web: Web, php: PhpFpm) -> None:
    site = site_with(web, php)
    (web.directory / "headers").write_text("Cache-Control: public, max-age=3600\n")
    early()
    first = token(site.get("/page"))
    assert token(site.get("/page?utm_source=x")) == first
    assert site.get("/page", headers={"Range": "bytes=0-"}).status in (200, 206)
    assert token(site.get("/page", headers={"If-None-Match": '"x"'})) == first
    assert site.get("/page", "HEAD").status == 200
    assert token(site.get("/other")) != first
    assert len(asked(site)) == 2
    time.sleep(1)
    assert token(site.get("/page")) != first


def test_a_head_leaves_the_whole_page(web: Web, php: PhpFpm) -> None:
    site = site_with(web, php)
    early()
    assert site.get("/page", "HEAD").body == b""
    token(site.get("/page"))
    assert [each["method"] for each in asked(site)] == ["GET"]


def test_it_is_gone_when_its_file_is(web: Web, php: PhpFpm) -> None:
    """As the agent removes it at a purge."""
    site = site_with(web, php)
    for target, path in {
        "/page": "/page",
        "/a%20b/%C3%BC": "/a b/ü",
        "/a%2Bb": "//a%2Bb",
        "/": "/",
    }.items():
        early()
        first = token(site.get(target))
        assert token(site.get(target)) == first
        cached(site, path).unlink()
        assert token(site.get(target)) != first


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ([], True),
        (["Cache-Control: max-age=60"], True),
        (["Cache-Control: public, s-maxage=60, max-age=0"], True),
        (["Vary: Accept-Encoding"], True),
        (["Cache-Control: max-age=60", "Expires: Thu, 19 Nov 1981 08:52:00 GMT"], True),
        (["Set-Cookie: a=b"], False),
        (["Set-Cookie: a=b", "Cache-Control: public, max-age=60"], False),
        (["Cache-Control: private"], False),
        (["Cache-Control: Private, max-age=60"], False),
        (['Cache-Control: private="x"'], False),
        (["Cache-Control: no-store"], False),
        (["Cache-Control: max-age=60,no-cache"], False),
        (["Cache-Control: max-age=60", "Cache-Control: private"], False),
        (["Cache-Control: max-age=0"], False),
        (["Cache-Control: s-maxage=0, max-age=60"], False),
        (["Expires: Thu, 19 Nov 1981 08:52:00 GMT"], False),
        (["Expires: 0"], False),
        (["Pragma: no-cache"], False),
        (["Vary: Cookie"], False),
        (["Vary: *"], False),
        (["Vary: Accept-Encoding, Cookie"], False),
        (["Vary: Accept-Encoding, accept-encoding"], True),
        (["X-Accel-Expires: 0"], False),
        (["X-Accel-Expires: 1"], True),
        (["X-Accel-Expires: 60", "Cache-Control: no-store"], True),
        (["X-Accel-Expires: 0", "Cache-Control: max-age=60"], False),
        (["X-Accel-Expires: @1"], False),
        (["X-Accel-Expires: 60", "Set-Cookie: a=b"], False),
        (["X-Accel-Expires: 60", "Vary: Cookie"], False),
        (["CDN-Cache-Control: no-store"], False),
        (["CDN-Cache-Control: no-store", "Cache-Control: max-age=60"], False),
        (["CDN-Cache-Control: max-age=60", "Cache-Control: private"], True),
        (["CDN-Cache-Control: max-age=60", "Expires: 0"], True),
        (["CDN-Cache-Control: max-age=0", "Cache-Control: max-age=60"], False),
        (["CDN-Cache-Control: public", "Expires: 0"], True),
        (["CDN-Cache-Control: max-age=60", "Surrogate-Control: no-store"], True),
        (["Surrogate-Control: no-store"], False),
        (["Surrogate-Control: no-store", "Cache-Control: max-age=60"], False),
        (["Surrogate-Control: max-age=60", "Cache-Control: private"], True),
        (["Surrogate-Control: max-age=60, private"], False),
        (['Surrogate-Control: content="ESI/1.0"'], True),
        (['Surrogate-Control: content="ESI/1.0"', "Cache-Control: private"], False),
        (["Surrogate-Control: max-age=0"], False),
        (["X-Accel-Expires: 60", "CDN-Cache-Control: no-store"], True),
    ],
    ids=str,
)
def test_what_is_kept_for_a_second(web: Web, php: PhpFpm, headers: list[str], kept: bool) -> None:
    site = site_with(web, php)
    (web.directory / "headers").write_text("".join(f"{line}\n" for line in headers))
    early()
    first = token(site.get("/page"))
    assert (token(site.get("/page")) == first) is kept
    assert cached(site, "/page").exists() is kept
    assert site.get("/page").header("Surrogate-Control") is None
    assert site.get("/page", headers=VISITOR).header("Surrogate-Control") is None
    told = dict(line.split(": ", 1) for line in headers)
    assert site.get("/page").header("CDN-Cache-Control") == told.get("CDN-Cache-Control")
    assert site.get("/page").header("X-Accel-Expires") is None
    # The agent is told all of it.
    for name in ("X-Accel-Expires", "Surrogate-Control"):
        assert site.get_origin("/page").header(name) == told.get(name)


def test_two_lines_of_vary(web: Web, php: PhpFpm) -> None:
    """nginx before 1.23 sees the first line only: docs/php.md names it."""
    site = site_with(web, php)
    lines = ["Vary: Accept-Language", "Vary: Accept-Encoding"]
    (web.directory / "headers").write_text("".join(f"{line}\n" for line in lines))
    early()
    first = token(site.get("/page"))
    assert token(site.get("/page")) != first
    (web.directory / "headers").write_text("".join(f"{line}\n" for line in reversed(lines)))
    early()
    first = token(site.get("/other"))
    said = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    version = tuple(map(int, said.rpartition("/")[2].split()[0].split(".")))
    assert (token(site.get("/other")) == first) is (version < (1, 23))


@pytest.mark.parametrize(
    ("status", "kept"),
    [
        (404, True),
        (410, True),
        (301, False),
        (302, False),
        (403, False),
        (500, False),
        (503, False),
    ],
)
def test_which_statuses_are_kept(web: Web, php: PhpFpm, status: int, kept: bool) -> None:
    site = site_with(web, php)
    (web.directory / "status").write_text(str(status))
    early()
    for _ in range(3):
        assert site.get("/page").status == status
    assert len(asked(site)) == (1 if kept else 3)


@pytest.mark.parametrize(
    ("target", "method", "headers"),
    [
        ("/page", "GET", VISITOR),
        ("/page", "GET", {"Cookie": "unknown=1"}),
        ("/page", "GET", {"Authorization": "Basic eDp5"}),
        ("/page?id=1", "GET", {}),
        ("/page", "POST", {}),
        ("//page", "GET", {}),
        ("/./page", "GET", {}),
        ("/x/../page", "GET", {}),
        ("/%70age", "GET", {}),
        ("/page?", "GET", {}),
        ("/page#x", "GET", {}),
        ("/page?utm_source=x#y", "GET", {}),
        ("/page", "GET", {"X-Api-Key": "1"}),
        ("/page", "GET", {"HX-Request": "true"}),
        ("/page", "GET", {"Turbo-Frame": "1"}),
        ("/x%2f../page", "GET", {}),
    ],
)
def test_what_neither_gets_nor_leaves_a_shared_page(
    web: Web, php: PhpFpm, target: str, method: str, headers: dict[str, str]
) -> None:
    site = site_with(web, php)
    own = token(site.get(target, method, headers=headers))
    assert not list(Path(site.settings["php"]["microcache"]).iterdir())
    shared = token(site.get("/page"))
    assert len({own, shared, token(site.get(target, method, headers=headers))}) == 3
    assert asked(site)[-1]["uri"] == target


def test_interleaved_visitors_never_see_each_others_page(web: Web, php: PhpFpm) -> None:
    site = site_with(web, php)

    def ask(number: int) -> None:
        name = None if number % 2 else f"PHPSESSID={number}"
        answer = site.get("/page", headers={"Cookie": name} if name else {})
        assert json.loads(answer.body)["cookie"] == name
        assert answer.header("Set-Cookie") is None

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(ask, range(1000)))


def test_a_crowd_on_a_cold_page_asks_php_three_times_at_most(web: Web, php: PhpFpm) -> None:
    """A page that takes 0.2 s; a crowd of a thousand, half of them with arguments of a campaign."""
    site = site_with(web, php)
    (web.directory / "usleep").write_text("200000")
    begun = time.monotonic()

    def ask(number: int) -> str:
        return token(site.get("/page" if number % 2 else f"/page?fbclid={number}"))

    with ThreadPoolExecutor(200) as pool:
        tokens = set(pool.map(ask, range(1000)))
    took = time.monotonic() - begun
    assert took < 5
    assert len(tokens) == len(asked(site)) <= 3, f"in {took:.1f} s"


@pytest.mark.parametrize("takes", [0.3, 1.5, None], ids=str)
@pytest.mark.parametrize("change", ["gone", "private", "moved"])
def test_the_last_old_answer_of_a_page_that_changed(
    web: Web, php: PhpFpm, takes: float | None, change: str
) -> None:
    """Four visitors ask all the time, and PHP is slow, or hangs (None) from the change on.

    Nobody who came after the second in which it changed may get the page as it was, whatever PHP
    does: it was asked for the old one before.
    """
    site = site_with(web, php, own={"timeout": 20})
    beside = web.directory
    (beside / "usleep").write_text(str(int((takes or 0.3) * 1e6)))
    (beside / "headers").write_text("X-Version: old\n")
    over = threading.Event()
    old: list[float] = []
    """When those came who got the old page."""

    def visit() -> None:
        while not over.is_set():
            came = time.time()
            try:
                answer = site.get("/page")
            except OSError:
                continue  # PHP hangs for longer than we wait
            if answer.header("X-Version") == "old":
                old.append(came)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(visit)
        wait_for(lambda: len(old) > 8, "the old page to be had")
        (beside / "headers").write_text(
            {"gone": "", "private": "Cache-Control: private\n", "moved": "Location: /new\n"}[change]
        )
        (beside / "status").write_text({"gone": "404", "private": "200", "moved": "301"}[change])
        changed = time.time()
        if takes is None:
            php.freeze()
        time.sleep(4)
        over.set()
        php.thaw()
    # PHP was asked before the change, and what it said then is for those who came in that second,
    # as nginx counts seconds: at the beginning of each turn of its events.
    assert max(old) < changed + 2


def test_php_that_ends_under_load_costs_nobody_a_page_in_memory(web: Web, php: PhpFpm) -> None:
    site = site_with(web, php)
    site.put("/kept", b"memory")
    ended = threading.Event()
    over = time.monotonic() + 3
    slowest = 0.0

    def visit(number: int) -> int:
        nonlocal slowest
        asks = 0
        while time.monotonic() < over:
            down = ended.is_set()
            begun = time.monotonic()
            kept = site.get("/kept")
            assert (kept.status, kept.body) == (200, b"memory")
            other = site.get(f"/other/{number}/{asks}", headers=VISITOR if number % 2 else {})
            assert other.status == 502 if down else other.status in (200, 502)
            if down:
                slowest = max(slowest, time.monotonic() - begun)
            asks += 1
        return asks

    with ThreadPoolExecutor(8) as pool:
        visits = [pool.submit(visit, number) for number in range(8)]
        time.sleep(1)
        php.end()
        ended.set()
        assert sum(each.result() for each in visits) > 20
    assert slowest < 1


def test_frozen_php_and_a_second_one(web: Web, php: PhpFpm, directory: Path) -> None:
    second = PhpFpm(directory, "second")
    second.start()
    site = site_with(web, php, own={"backends": [php.backend, second.backend], "timeout": 1})
    try:
        php.end()
        for number in range(20):
            assert site.get(f"/{number}").status == 200
        second.freeze()
        begun = time.monotonic()
        assert site.get("/late").status in (502, 504)
        assert time.monotonic() - begun < 3
        second.thaw()
        wait_for(lambda: site.get("/again").status == 200, "php is back")
    finally:
        second.end()


class Hints:
    """The agent's end of the hints."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(os.fspath(path))
        path.chmod(0o666)
        self._socket.settimeout(0.3)

    def read(self) -> list[str]:
        """Return what comes in the next moment."""
        found = []
        try:
            while True:
                found.append(self._socket.recv(65536).decode())
        except TimeoutError:
            return found

    def end(self) -> None:
        """Close the socket; its name stays."""
        self._socket.close()


@pytest.fixture
def hints(directory: Path) -> Iterator[Hints]:
    hints = Hints(directory / "hints.sock")
    yield hints
    hints.end()


def told(hints: Hints) -> list[dict[str, str]]:
    """Return what the agent is told in the next moment."""
    return [json.loads(line.partition(" memfis: ")[2]) for line in hints.read()]


def uris(hints: Hints) -> list[str]:
    """Return which pages it is told of."""
    return [each["uri"] for each in told(hints) if each["uri"]]


def test_the_agent_is_told_of_what_php_was_asked(web: Web, php: PhpFpm, hints: Hints) -> None:
    log = web.directory / "access.log"
    site = site_with(web, php, own={"hints": os.fspath(hints.path), "access_log": os.fspath(log)})
    site.write("disk.txt", b"disk")
    site.put("/kept", b"memory")
    site.get("/a%20%22b%22/%C3%BC?utm_source=x")
    (line,) = hints.read()
    head, _, body = line.partition(" memfis: ")
    assert head.startswith("<")
    assert json.loads(body) == {"site": site.name, "uri": '/a "b"/ü', "kept_by": "", "proxy": ""}
    # A directory; an index that is a script of its own; what differs in its spelling.
    site.write("blog/index.php", FRONT)
    for target in ("/y", "/blog/", "/", "/C%2B%2B"):
        site.get(target, headers={"Cookie": "_ga=1"})
    assert uris(hints) == ["/y", "/blog/", "/", "//C%2B%2B"]
    assert log.read_text().count("\n") == 5


def test_what_the_agent_is_not_told_of(web: Web, php: PhpFpm, hints: Hints) -> None:
    site = site_with(web, php, own={"hints": os.fspath(hints.path)})
    site.write("disk.txt", b"disk")
    site.put("/kept", b"memory")
    early()
    site.get("/page")
    hints.read()
    assert site.get("/page").status == 200  # out of the second's cache
    assert hints.read() == []
    for target, method, headers in (
        ("/kept", "GET", {}),
        ("/disk.txt", "GET", {}),
        ("/a", "HEAD", {}),
        ("/b", "POST", {}),
        ("/c", "GET", VISITOR),
        ("/d?id=1", "GET", {}),
        ("/e", "GET", {"Authorization": "Basic eDp5"}),
        ("/index.php", "GET", {}),
        ("/x/../f", "GET", {}),
        ("/" + "g" * 250, "GET", {}),
    ):
        assert site.get(target, method, headers=headers).status == 200
    site.get_origin("/h")
    (web.directory / "headers").write_text("Set-Cookie: a=b\n")
    site.get("/i")
    (web.directory / "headers").unlink()
    (web.directory / "status").write_text("404")
    site.get("/j")
    assert uris(hints) == []


@pytest.mark.parametrize("cookies", [None, ["PHPSESSID", "wordpress_logged_in_[^=]*"]])
def test_the_agent_is_told_what_keeps_visitors_from_memory(
    web: Web, php: PhpFpm, hints: Hints, cookies: list[str] | None
) -> None:
    own = {"hints": os.fspath(hints.path), "cookies": cookies}
    site = site_with(web, php, own=own, server_names=["site.example", "other.example"])

    def kept_by(
        headers: dict[str, str], target: str = "/x", host: str = "site.example"
    ) -> list[str]:
        site.get(target, headers=headers, host=host)
        return [each["kept_by"] for each in told(hints)]

    assert kept_by({"Cookie": "_ga=1; PHPSESSID=secret"}) == ["PHPSESSID"]
    assert kept_by({"Cookie": "wordpress_logged_in_01=x"}) == ["wordpress_logged_in_01"]
    assert kept_by({"Cookie": "strange=1"}) == (["strange"] if cookies is None else [""])
    assert kept_by({}, host="other.example") == [":host"]
    # For other reasons he would have been on his own anyway.
    assert kept_by({"Cookie": "PHPSESSID=1"}, "/x?id=1") == [""]
    assert kept_by({"Cookie": "PHPSESSID=1"}, host="other.example") == [""]
    site.get("/x", headers={"X-Forwarded-Proto": "http"})
    assert [each["proxy"] for each in told(hints)] == ["unix:"]
    assert "secret" not in str(hints.read())


def test_an_agent_that_is_away_costs_nothing_but_hints(web: Web, php: PhpFpm, hints: Hints) -> None:
    site = site_with(web, php, own={"hints": os.fspath(hints.path)})
    site.get("/a")
    hints.read()
    hints.end()
    assert site.get("/b").status == 200
    hints.path.unlink()
    again = Hints(hints.path)
    try:
        for number in range(5):
            assert site.get(f"/c{number}").status == 200
        assert again.read()
    finally:
        again.end()


class Purges:
    """The agent's end of PURGE."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_PURGE(self) -> None:
                asked.append((self.command, self.path, dict(self.headers.items())))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"1\n")

            def address_string(self) -> str:
                return "nginx"

            def log_message(self, *_: object) -> None:
                pass

        self._server = socketserver.UnixStreamServer(os.fspath(path), Handler)
        path.chmod(0o666)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def end(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def test_purge(web: Web, php: PhpFpm) -> None:
    purges = Purges(web.directory / "purge.sock")
    port = free_port()
    try:
        site = site_with(
            web,
            php,
            own={"purge": os.fspath(purges.path)},
            listen=[f"unix:{web.directory}/site.example.public", f"127.0.0.1:{port}"],
            extra="location = /own { return 204; }",
        )
        site.put("/page", b"memory")

        def purge(target: str, headers: dict[str, str]) -> int:
            with Connection(("127.0.0.1", port)) as connection:
                return connection.ask(target, "PURGE", headers, b"body").status

        forged = {"X-Memfis-Site": "other", "X-Purge-Method": "regex", "X-Other": "x"}
        assert purge("/page%20x?y=1", forged) == 200
        assert purge("/own", {"Cookie": "PHPSESSID=1"}) == 200
        # As plugins say everything, or a directory: names that are never served.
        for target in ("/.*", "/blog/.*", "/x.php", "/.env"):
            assert purge(target, {"X-Purge-Method": "regex"}) == 200
            assert purges.asked.pop()[1] == target
        (method, path, headers), (_, own, _) = purges.asked
        assert (method, path, own) == ("PURGE", "/page%20x?y=1", "/own")
        assert headers["X-Memfis-Site"] == site.name
        assert headers["X-Purge-Method"] == "regex"
        assert "X-Other" not in headers
        # Others may not: this client has no address of the list.
        for target in ("/page", "/own", "/index.php", "/.*"):
            assert site.get(target, "PURGE").status == 403
        assert len(purges.asked) == 2
        assert asked(site) == []
        assert site.get("/page").source == "HIT"
    finally:
        purges.end()
    begun = time.monotonic()
    assert purge("/page", {}) == 502
    assert time.monotonic() - begun < 2


def test_files_of_the_cache_can_be_removed_by_the_directorys_group(web: Web, php: PhpFpm) -> None:
    user = unprivileged()
    directory = web.directory / "microcache"
    directory.mkdir()
    directory.chmod(0o2770)
    if user is not None:
        os.chown(directory, user.pw_uid, 12345)
    site = site_with(web, php)
    early()
    site.get("/page")
    found = cached(site, "/page")
    assert found.exists()
    status = directory.stat()
    assert status.st_mode & 0o7777 == 0o2770
    if user is not None:
        assert (status.st_uid, status.st_gid) == (user.pw_uid, 12345)
