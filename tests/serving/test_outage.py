"""The store dies or hangs: visitors get their pages all the same."""

import os
import re
import threading
from collections import Counter

import pytest

from support.http import Connection
from support.nginx import Site, Web
from support.process import wait_for

SIZES = {f"/{size}k.bin": size * 1024 for size in (1, 10, 64, 128)}


def pages(site: Site) -> dict[str, bytes]:
    """Write a page of each size to disk and return them by URL."""
    found = {}
    for target, size in SIZES.items():
        found[target] = os.urandom(size)
        site.write(target[1:], found[target])
    return found


class Visitors:
    """Threads that ask for pages, one connection each, until told to stop."""

    def __init__(self, site: Site, content: dict[str, bytes], number: int) -> None:
        self.wrong: list[str] = []
        self.sources: Counter[str | None] = Counter()
        self._site, self._content = site, content
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(n,)) for n in range(number)]
        for thread in self._threads:
            thread.start()

    def _visit(self, number: int) -> None:
        try:
            while not self._stopped.is_set():
                with Connection(self._site.public) as connection:
                    number = self._ask(connection, number)
        except Exception as error:
            self.wrong.append(repr(error))

    def _ask(self, connection: Connection, first: int) -> int:
        targets = list(self._content)
        # nginx closes a connection after 1,000 requests.
        for number in range(first, first + 500):
            if self._stopped.is_set():
                break
            target = targets[number % len(targets)]
            answer = connection.ask(target)
            if answer.status != 200 or answer.body != self._content[target]:
                self.wrong.append(f"{target}: {answer.status}, {len(answer.body)} bytes")
            self.sources[answer.source] += 1
        return first + 1

    def wait(self, source: str, number: int) -> None:
        """Wait for so many more answers from `source`."""
        end = self.sources[source] + number
        wait_for(lambda: bool(self.wrong) or self.sources[source] >= end, source)

    def stop(self) -> None:
        """Let every visitor finish the request."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()


def test_killed_store_costs_no_answer(web: Web) -> None:
    site = web.site()
    content = pages(site)
    web.start(patient=False)
    visitors = Visitors(site, content, 8)
    try:
        for _ in range(5):
            for target, page in content.items():
                site.put(target, page)
            visitors.wait("HIT", 100)
            web.store.end()
            visitors.wait("FALLBACK", 50)
            web.store.start()
    finally:
        visitors.stop()
    assert not visitors.wrong


def test_frozen_store_costs_no_answer(web: Web) -> None:
    site = web.site()
    content = pages(site)
    web.start(patient=False)
    for target, page in content.items():
        site.put(target, page)
    visitors = Visitors(site, content, 4)
    try:
        visitors.wait("HIT", 20)
        web.store.freeze()
        visitors.wait("FALLBACK", 200)
        web.store.thaw()
        visitors.wait("HIT", 100)
    finally:
        visitors.stop()
    assert not visitors.wrong


def test_frozen_store_is_left_alone_for_a_while(web: Web) -> None:
    """Or every visitor would wait for the timeout."""
    site = web.site()
    web.start(patient=False)
    site.write("index.html", b"disk")
    web.store.freeze()
    assert site.get("/").body == b"disk"
    if not web.nginx.reads_by_lua:
        assert web.nginx.log.read_text().count("upstream timed out") == 1, "no second try"
    with Connection(site.public) as connection:
        for _ in range(100):
            answer = connection.ask("/")
            assert (answer.status, answer.source, answer.body) == (200, "FALLBACK", b"disk")
    log = web.nginx.log.read_text()
    if web.nginx.reads_by_lua:
        assert len(re.findall(r"memfis: the store \S+: timeout", log)) == 1, "said once"
        assert log.count("[error]") == 1
    else:
        assert 2 <= log.count("upstream timed out") <= 50


def test_store_is_asked_again_when_it_is_back(web: Web) -> None:
    site = web.site()
    web.start(patient=False)
    site.write("index.html", b"disk")
    web.store.end()
    for _ in range(5):
        assert site.get("/").source == "FALLBACK"
    web.store.start()
    site.put("/", b"memory")
    wait_for(lambda: site.get("/").source == "HIT", "the store")


@pytest.mark.parametrize("target", ["/" + "x" * 300, "/" + "x" * 7000, "/" + "%01" * 90])
def test_urls_that_are_too_long_are_no_sign_of_an_outage(web: Web, target: str) -> None:
    """Somebody asking for such URLs must not be able to turn the store off for all."""
    site = web.site()
    web.start(patient=False)
    site.put("/", b"memory")
    for _ in range(20):
        assert site.get(target).status == 404
        assert site.get("/").source == "HIT"


def test_slow_reader_gets_all_of_a_page(web: Web) -> None:
    site = web.site()
    web.start(patient=False)
    page = os.urandom(131072)
    site.put("/page.bin", page)
    with Connection(site.public) as connection:
        connection.send(b"GET /page.bin HTTP/1.0\r\nHost: site.example\r\n\r\n")
        wait_for(lambda: int(web.store.stats()[b"get_hits"]) == 1, "the store's answer")
        web.store.end()
        assert connection.receive().body == page
