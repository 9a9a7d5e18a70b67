"""Pages in nginx's own memory: never an old one after a change was told, and one question a key."""

import gzip
import os
import random
import socket
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from memfis.doctor.census import StoredItem
from memfis.doctor.first_level import needed
from memfis.layout import keys
from memfis.layout.heads import Head, encode_head
from memfis.nginx.first_level import PARTS
from support.http import Connection
from support.nginx import Web, workers
from support.php import PhpFpm
from support.php import settings as php_settings
from support.process import wait_for
from support.slow_store import SlowStore

ROUNDS = int(os.environ.get("MEMFIS_RACES", "4000"))
"""Reads of the race; 100,000 take two minutes."""

FRESH = 1.0
"""Seconds, as lua/memfis/first_level.lua has it."""


def fetches(slow: SlowStore, path: str = "/a.html") -> int:
    """Return how often the value of the page was asked for."""
    return slow.commands.count(b"mg " + keys.page_key("site.example", path.encode()) + b" v f c")


def told(web: Web, body: bytes) -> tuple[int, bytes]:
    """Tell nginx of changes; returns its answer."""
    with Connection(web.nginx.told) as connection:
        answer = connection.ask("/changed", "POST", body=body)
        return answer.status, answer.body


def test_nothing_old_after_a_change_was_told(web: Web, slow: SlowStore) -> None:
    """Fetches are held open while the page changes, and two workers keep what they get."""
    slow.delay = 0.003
    site = web.site(from_memory="lua", store_address=slow.address)
    web.start(workers=2)
    site.put("/a.html", b"0")
    key = keys.page_key(site.name, b"/a.html")
    counter = b"%d" % (zlib.crc32(key) % 4096)
    answered = 0
    ended = threading.Event()
    old: list[str] = []

    def change() -> None:
        nonlocal answered
        number = 0
        with web.store.client() as client, Connection(web.nginx.told) as connection:
            while not ended.is_set():
                number += 1
                client.set(key, b"%d" % number, noreply=False)
                assert connection.ask("/changed", "POST", body=counter).status == 204
                answered = number
                time.sleep(random.random() * 0.004)

    def read(times: int) -> int:
        hits = 0
        with Connection(site.public) as connection:
            for _ in range(times):
                least = answered
                answer = connection.ask("/a.html")
                hits += answer.source == "HIT"
                if answer.source == "HIT" and int(answer.body) < least:
                    old.append(f"{answer.body!r} after {least}")
        return hits

    with ThreadPoolExecutor(9) as pool:
        changing = pool.submit(change)
        try:
            hits = sum(pool.map(read, [500] * (ROUNDS // 500)))
        finally:
            ended.set()
        changing.result()
    assert not old, old[:5]
    assert hits > ROUNDS * 0.9
    assert answered > ROUNDS / 50, "changes came between"


@pytest.mark.parametrize("workers", [1, 2])
def test_one_question_for_a_crowd(web: Web, slow: SlowStore, workers: int) -> None:
    slow.delay = 0.1
    site = web.site(from_memory="lua", store_address=slow.address)
    web.start(workers=workers)
    site.put("/a.html", b"memory")
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: site.get("/a.html"), range(50)))
    assert {(answer.source, answer.body) for answer in answers} == {("HIT", b"memory")}
    assert fetches(slow) == 1


def test_a_page_that_is_the_same_is_not_sent_again(web: Web, slow: SlowStore) -> None:
    site = web.site(from_memory="lua", store_address=slow.address)
    web.start()
    site.put("/a.html", b"memory")
    began = time.monotonic()
    while time.monotonic() < began + 3.5 * FRESH:
        assert site.get("/a.html").body == b"memory"
        time.sleep(0.02)
    asked = slow.commands.count(b"mg " + keys.page_key(site.name, b"/a.html") + b" f c")
    assert fetches(slow) == 1
    assert 2 <= asked <= 4, "once a second"


def test_who_is_not_told_sees_it_within_a_second(web: Web) -> None:
    """As on another host that shares the store: what changed, what is new, and what is gone."""
    site = web.site(from_memory="lua")
    web.start(workers=2)
    for path in ("/changed", "/gone"):
        site.put(path, b"old")
    for _ in range(5):
        assert [site.get(path).status for path in ("/changed", "/gone", "/new")] == [200, 200, 404]
    with web.store.client() as client:
        began = time.monotonic()
        for path in ("/changed", "/new"):
            client.set(keys.page_key(site.name, path.encode()), b"new")
        client.delete(keys.page_key(site.name, b"/gone"))
    time.sleep(FRESH + 0.1 - (time.monotonic() - began))
    for _ in range(5):
        assert [site.get(path).body for path in ("/changed", "/new")] == [b"new", b"new"]
        assert site.get("/gone").status == 404


def test_who_is_told_sees_it_at_once(web: Web) -> None:
    site = web.site(from_memory="lua")
    web.start(workers=2)
    with web.store.client() as client:
        for number in range(200):
            assert site.get("/a").status == 404
            site.put("/a", b"%d" % number)
            for _ in range(3):
                assert site.get("/a").body == b"%d" % number
            client.delete(keys.page_key(site.name, b"/a"))
            if number % 2:
                site.tell(keys.page_key(site.name, b"/a"))
            else:
                site.tell()


def test_the_disk_answers_for_a_store_that_is_away(web: Web) -> None:
    site = web.site(from_memory="lua")
    web.start()
    site.write("a", b"disk")
    site.put("/a", b"memory")
    assert site.get("/a").body == b"memory"
    web.store.end()
    # What was told while the store is away is not given out any more.
    site.tell(keys.page_key(site.name, b"/a"))
    began = time.monotonic()
    while time.monotonic() < began + 2 * FRESH:
        answer = site.get("/a")
        assert (answer.source, answer.body) == ("FALLBACK", b"disk")
    lines = [line for line in web.nginx.log.read_text().splitlines() if "memfis:" in line]
    assert len(lines) == 1
    assert "the fallback answers" in lines[0]
    web.store.start()
    site.put("/a", b"memory")
    wait_for(lambda: site.get("/a").source == "HIT", "the store")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        *((b"all", 204), (b"0", 204), (b"0 4095", 204), (b" ".join([b"7"] * 4096), 204)),
        *((b"", 400), (b"4096", 500), (b"-1", 400), (b"0x1", 400), (b"all 1", 400), (b"\0", 400)),
        (b"1 " * 40000, 413),
    ],
)
def test_telling(web: Web, body: bytes, status: int) -> None:
    web.site(from_memory="lua")
    web.start()
    assert told(web, body)[0] == status


def test_without_counters_nothing_is_kept(web: Web, directory: Path) -> None:
    """Telling fails then, and all the same nothing old is given out."""
    place = directory / "flush.sock"
    flush = f"""
server {{
    listen "unix:{place}";
    location / {{
        content_by_lua_block {{ ngx.shared.memfis_counters:flush_all() ngx.print("flushed") }}
    }}
}}
"""
    site = web.site(from_memory="lua")
    web.start(more=flush)
    site.put("/a", b"0")
    assert site.get("/a").body == b"0"
    with Connection(place) as connection:
        assert connection.ask("/").body == b"flushed"
    status, said = told(web, b"17")
    assert (status, said) == (500, b"counter 17: not found\n")
    for number in range(20):
        web.store.put(keys.page_key(site.name, b"/a"), b"%d" % number)
        assert site.get("/a").body == b"%d" % number


def test_pages_of_all_sizes_find_room(web: Web) -> None:
    """Small ones first, until all is full of them; what has no room is asked for anew."""
    site = web.site(from_memory="lua")
    web.start(workers=2, first_level=8)
    for size, number in ((500, 4000), (20_000, 500), (300_000, 40)):
        content = random.Random(size).randbytes(size)
        with web.store.client() as client:
            for each in range(number):
                key = keys.page_key(site.name, b"/%d.%d.bin" % (size, each))
                client.set(key, b"%d " % each + content)
        for each in range(number):
            answer = site.get(f"/{size}.{each}.bin")
            assert (answer.source, answer.body) == ("HIT", b"%d " % each + content)
    assert "[error]" not in web.nginx.log.read_text()


HEADS = {
    "damaged": b"1 200 - 17",
    "empty": b"",
    "of another version": b"2 200 - 1700000000.000000000\n",
    "of another status": b"1 404 - -\n",
    "with a line break": b"1 200 - -\nX-Evil:a\rSet-Cookie:x=y\n",
    "that sets a cookie": b"1 200 - -\nSet-Cookie:evil=1\n",
    "that changes the framing": b"1 200 - -\nContent-Length:1\n",
    "that closes the connection": b"1 200 - -\nConnection:close\n",
    "that is all": b"\xff" * 5000,
}


@pytest.mark.parametrize("needs", [False, True])
@pytest.mark.parametrize("text", HEADS.values(), ids=HEADS)
def test_hostile_head(web: Web, text: bytes, needs: bool) -> None:
    """A page that can do without is sent without it; the disk answers for one that cannot."""
    site = web.site(from_memory="lua")
    web.start()
    site.write("a.html", b"disk")
    page_flags = 8 | needs
    web.store.put(keys.head_key(site.name, b"/a.html"), text, page_flags)
    site.put("/a.html", b"memory", page_flags)
    for _ in range(3):
        answer = site.get("/a.html")
        assert answer.status == 200
        assert answer.body == (b"disk" if needs else b"memory")
        for name in ("X-Evil", "Set-Cookie"):
            assert answer.header(name) is None
        assert answer.header("Connection") == "keep-alive"


def test_head_of_another_page_is_not_said(web: Web) -> None:
    site = web.site(from_memory="lua")
    web.start()
    head = encode_head(Head(fields=((b"X-Page", b"another"),), mtime_ns=10**18))
    web.store.put(keys.head_key(site.name, b"/a.html"), head, 16)
    site.put("/a.html", b"memory", 8)
    answer = site.get("/a.html")
    assert (answer.source, answer.body) == ("HIT", b"memory")
    assert (answer.header("X-Page"), answer.header("ETag")) == (None, None)


NONSENSE = {
    "nothing": b"",
    "half a line": b"VA 6",
    "half a page": b"VA 6 f0 c1\r\nmem",
    "too much": b"VA 3 f0 c1\r\nmemory\r\nEN\r\n",
    "another protocol": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
    "an error": b"SERVER_ERROR out of memory\r\nSERVER_ERROR out of memory\r\n",
    "a head alone": b"EN\r\n",
    "endless": b"VA 99999999999 f0 c1\r\n" + b"x" * 100_000,
}


@pytest.mark.parametrize("said", NONSENSE.values(), ids=NONSENSE)
def test_store_that_talks_nonsense(web: Web, directory: Path, said: bytes) -> None:
    """The fallback answers, nothing of it reaches a visitor, and the log has one line."""
    place = directory / "nonsense.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(place))
        place.chmod(0o777)
        listener.listen(100)
        listener.settimeout(0.1)
        ended = threading.Event()

        def serve() -> None:
            held = []
            while not ended.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                connection.settimeout(1)
                if connection.recv(4096):
                    connection.sendall(said)
                if said.startswith(b"VA 6"):
                    connection.close()
                held.append(connection)
            for connection in held:
                connection.close()

        serving = threading.Thread(target=serve)
        serving.start()
        try:
            site = web.site(from_memory="lua", store_address=f"unix:{place}")
            web.start(patient=False)
            site.write("a.html", b"disk")
            answers = [site.get("/a.html") for _ in range(10)]
        finally:
            ended.set()
            serving.join()
    assert {(each.status, each.source, each.body) for each in answers} == {
        (200, "FALLBACK", b"disk")
    }
    assert web.nginx.log.read_text().count("[error]") == 1


def test_damaged_page_is_told_once(web: Web) -> None:
    site = web.site(from_memory="lua")
    web.start()
    site.write("a.html", b"disk")
    packed = gzip.compress(b"memory" * 100)
    site.put("/a.html", packed[:-5] + bytes([packed[-5] ^ 1]) + packed[-4:], 2)
    for _ in range(10):
        assert site.get("/a.html").body == b"disk"
    [line] = [each for each in web.nginx.log.read_text().splitlines() if "[error]" in each]
    assert "memfis: the page memfis://site.example/a.html is damaged in the store" in line


def test_without_what_is_in_lua_the_fallback_answers(web: Web, directory: Path) -> None:
    site = web.site(from_memory="lua")
    web.start(lua=directory / "nothing")
    site.write("a.html", b"disk")
    web.store.put(keys.page_key(site.name, b"/a.html"), b"memory")
    for _ in range(10):
        answer = site.get("/a.html")
        assert (answer.status, answer.source, answer.body) == (200, "FALLBACK", b"disk")
    assert web.nginx.log.read_text().count("module 'memfis.reader' not found") == 1


def test_reload_and_a_killed_worker_cost_nothing(web: Web) -> None:
    """Visitors get what is right meanwhile, and the first level is told on."""
    site = web.site(from_memory="lua")
    web.start(workers=2)
    wrong: list[str] = []
    ended = threading.Event()
    now = b"0"
    site.put("/a", now)

    def visit() -> None:
        while not ended.is_set():
            try:
                answer = site.get("/a")
            except OSError:  # a killed worker's own connections
                continue
            if answer.source != "HIT":
                wrong.append(f"{answer.status} {answer.source}")

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for each in visitors:
        each.start()
    try:
        for number in range(1, 60):
            if number % 20 == 0:
                web.nginx.reload()
            elif number % 20 == 10:
                web.nginx.kill_a_worker()
            now = b"%d" % number
            site.put("/a", now)
            for _ in range(3):
                assert site.get("/a").body == now
    finally:
        ended.set()
        for each in visitors:
            each.join()
    assert not wrong, wrong[:3]


def test_binary_upgrade_costs_nothing(web: Web) -> None:
    """Two programs listen, each with memory of its own, and who tells, tells one of them."""
    site = web.site(from_memory="lua", extra="add_header X-Worker $pid always;")
    web.start(workers=2, daemon=True)
    wrong: list[str] = []
    latest: dict[int, int] = {}
    least = 0
    ended = threading.Event()
    site.put("/a", b"0")

    def visit() -> None:
        while not ended.is_set():
            wanted = least
            answer = site.get("/a")
            if answer.source != "HIT" or int(answer.body) < wanted:
                wrong.append(f"{answer.status} {answer.source} {answer.body!r}, not {wanted}")
            latest[int(answer.header("X-Worker") or 0)] = int(answer.body)

    def is_answered_by(processes: list[int], number: int) -> bool:
        return any(latest.get(each) == number for each in processes)

    with ThreadPoolExecutor(4) as pool:
        visits = [pool.submit(visit) for _ in range(4)]
        try:
            with web.nginx.upgraded() as old:
                both = [workers(old), workers(web.nginx.pid)]
                for number in (1, 2, 3):
                    site.put("/a", b"%d" % number)
                    time.sleep(FRESH + 0.1)
                    least = number
                    for each in both:
                        wait_for(partial(is_answered_by, each, number), "an answer of both")
            for number in range(4, 30):
                site.put("/a", b"%d" % number)
                least = number
                for _ in range(3):
                    assert site.get("/a").body == b"%d" % number
        finally:
            ended.set()
        for one in visits:
            one.result()
    assert not wrong, wrong[:3]


def figures(web: Web, what: str, name: str) -> dict[str, int]:
    """Return what nginx counted of the site, or the part of the first level, `name`."""
    with Connection(web.nginx.told) as connection:
        lines = connection.ask("/figures").body.decode().splitlines()
    words = [line.split() for line in lines]
    return {kind: int(number) for *named, kind, number in words if named == [what, name]}


def test_what_visitors_got_is_counted(web: Web) -> None:
    site = web.site(from_memory="lua")
    other = web.site("other.example", from_memory="lua", index=[])
    web.start(workers=2)
    flags = 8
    site.put("/a.html", b"memory", flags)
    head = encode_head(Head(mtime_ns=1_700_000_000 * 10**9))
    web.store.put(keys.head_key(site.name, b"/a.html"), head, flags)
    etag = site.get("/a.html").header("ETag")
    assert etag is not None
    for _ in range(9):
        site.get("/a.html")
    for _ in range(5):
        assert site.get("/a.html", headers={"If-None-Match": etag}).status == 304
    for _ in range(3):
        site.get("/missing")
    skipping: dict[str, dict[str, Any]] = {
        "range": {"target": "/a.html", "headers": {"Range": "bytes=1-2"}},
        "header": {"target": "/a.html", "headers": {"Authorization": "Basic eA=="}},
        "method": {"target": "/a.html", "method": "POST"},
        "target": {"target": "/" + "long" * 70},
    }
    for each in skipping.values():
        assert site.get(**each).source == "FALLBACK"
    other.get("/")
    counted = {"hit": 10, "not_modified": 5, "absent": 3, **dict.fromkeys(skipping, 1)}
    wait_for(lambda: figures(web, "site", site.name) == counted, "the figures")
    assert figures(web, "site", other.name) == {"target": 1}
    switch = web.directory / "memfis-off"
    switch.mkdir()
    (switch / f"{other.name}.conf").write_text("default off;")
    web.nginx.reload()

    def is_off() -> bool:
        other.get("/a.html")
        return "off" in figures(web, "site", other.name)

    wait_for(is_off, "requests to be counted as those of a site that is off")
    assert figures(web, "site", site.name) == counted, "a reload begins no count anew"


def test_what_php_is_asked_for_is_counted_by_reason(web: Web) -> None:
    php = PhpFpm(web.directory)
    site = web.site(from_memory="lua", php=php_settings(web.directory, php))
    web.start()
    asked: dict[str, dict[str, Any]] = {
        "cookie": {"target": "/a", "headers": {"Cookie": "session=1"}},
        "arguments": {"target": "/a?b=1"},
        "host": {"target": "/a", "host": "other.example"},
        "header": {"target": "/a", "headers": {"X-Api-Key": "1"}},
        "script": {"target": "/a.php"},
        "body": {"target": "/a", "body": b"1"},
        "target": {"target": "/a//b"},
        "absent": {"target": "/a"},
    }
    for each in asked.values():
        assert site.get(**each).source == "FALLBACK"
    wait_for(lambda: figures(web, "site", site.name) == dict.fromkeys(asked, 1), "the figures")


@pytest.mark.parametrize("size", [1_500, 30_000, 100_000])
def test_the_size_that_the_doctor_says_holds_every_page(web: Web, size: int) -> None:
    """And what is much smaller does not."""
    site = web.site(from_memory="lua")
    number = 4_000_000 // (size + 3_000)
    item = StoredItem(b"", len(keys.page_key(site.name, b"/1000.html")), size, is_page=True)
    need = needed([item] * number)

    def evicted(memory: int) -> int:
        web.start(first_level=memory)
        content = os.urandom(size)
        for each in range(number):
            web.store.put(keys.page_key(site.name, b"/%d.html" % each), content, 0)
        assert all(site.get(f"/{each}.html").source == "HIT" for each in range(number))
        wait_for(lambda: figures(web, "site", site.name).get("hit") == number, "the figures")
        gone = sum(figures(web, "dict", part).get("evicted", 0) for part in PARTS)
        web.end()
        return gone

    assert evicted(need) == 0
    assert evicted(need * 2 // 3) > 0


def test_what_had_to_go_is_counted(web: Web) -> None:
    site = web.site(from_memory="lua")
    web.start(first_level=8)
    content = os.urandom(3000)
    for number in range(400):
        site.put(f"/{number}.html", content)
    assert all(site.get(f"/{number}.html").source == "HIT" for number in range(400))
    wait_for(lambda: figures(web, "dict", "small").get("evicted", 0) > 0, "evictions")
    small, medium = (figures(web, "dict", name) for name in ("small", "medium"))
    assert small["size"] == 2**20
    assert small["free"] < 2**16
    assert medium == {"size": 4 * 2**20, "free": medium["free"]}
    assert medium["free"] > 3 * 2**20
