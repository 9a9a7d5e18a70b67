"""nginx, PHP and the agent together: a page is rendered once, kept, and purged over HTTP."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.http import Connection
from support.nginx import Site, Web
from support.php import PhpFpm, asked, kept_site
from support.ports import free_port
from support.process import wait_for


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def site(web: Web, php: PhpFpm, port: int) -> Iterator[Site]:
    """A site with an agent that keeps it."""
    listen = [f"unix:{web.directory}/site.example.public", f"127.0.0.1:{port}"]
    with kept_site(web, php, default_type="application/json", listen=listen) as site:
        yield site


def rendered(site: Site, target: str) -> str | None:
    """Return what PHP's answer in memory is told by; None when it is not there."""
    answer = site.get(target)
    return json.loads(answer.body)["token"] if answer.source == "HIT" else None


def test_a_miss_is_rendered_and_comes_from_memory(site: Site) -> None:
    first = site.get("/page")
    assert first.source == "FALLBACK"
    wait_for(lambda: rendered(site, "/page") is not None, "the page to be rendered")
    found = site.get("/page")
    assert found.header("Content-Type") == first.header("Content-Type")
    # The page in memory was made for nobody, canonically.
    said = json.loads(found.body)
    assert (said["host"], said["cookie"], said["uri"]) == (
        "site.example",
        None,
        "/page",
    )


def test_a_purge_over_http_is_seen_by_the_next_request(site: Site, port: int) -> None:
    site.get("/page")
    wait_for(lambda: rendered(site, "/page") is not None, "the page to be rendered")
    old = rendered(site, "/page")
    with Connection(("127.0.0.1", port)) as connection:
        begun = time.monotonic()
        answer = connection.ask("/page", "PURGE")
        took = time.monotonic() - begun
    assert answer.status == 200, answer.body
    after = site.get("/page")
    assert json.loads(after.body)["token"] != old
    assert took < 1, "tests/render measures it"


def test_a_purge_takes_the_second_of_the_cache_too(site: Site, port: int) -> None:
    tokens = set()
    for _ in range(5):
        tokens.add(json.loads(site.get("/page").body)["token"])
        with Connection(("127.0.0.1", port)) as connection:
            assert connection.ask("/page", "PURGE").status == 200
    assert len(tokens) == 5


def test_a_crowd_that_stays_asks_php_three_times_at_most(web: Web, site: Site) -> None:
    """A thousand visitors of a cold page that takes 0.2 s, who come back for five seconds."""
    (web.directory / "usleep").write_text("200000")
    over = time.monotonic() + 5

    def visit(_: int) -> int:
        visits = 0
        while time.monotonic() < over:
            assert site.get("/page").status == 200
            visits += 1
        return visits

    with ThreadPoolExecutor(100) as pool:
        assert sum(pool.map(visit, range(100))) >= 1000
    assert len(asked(site)) <= 3
