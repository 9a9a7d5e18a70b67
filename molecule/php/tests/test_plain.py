"""WordPress as it comes, on the blog's host, read by Lua: without any plugin of ours."""

import pytest
from browser import hit
from test_blog import NAMES, Blog


class Plain(Blog):
    site = "plain.example.org"


@pytest.fixture
def host(blog_host):
    return blog_host


@pytest.fixture(autouse=True)
def _nothing_in_memory(host):
    host.check_output("memfis purge --site plain.example.org '/**'")


@pytest.fixture
def browser(host):
    """A visitor nobody knows."""
    return Plain(host)


@pytest.mark.parametrize("path", ["/", "/feed/", "/comments/feed/", "/wp-sitemap.xml"])
def test_what_php_says_is_said_from_memory(browser, eventually, path):
    answer = browser.get(path)
    assert (answer.status, answer.source) == (200, "FALLBACK")
    found = eventually(lambda: hit(browser, path))
    assert found, browser.get(path)
    assert found.body == answer.body
    for name in (
        "link",
        "content-type",
        "last-modified",
        "x-robots-tag",
        "access-control-allow-headers",
    ):
        assert found.headers.get(name) == answer.headers.get(name), name
    assert int(found.headers["age"]) >= 0


def test_the_front_page_has_its_link(browser, eventually):
    browser.get("/")
    found = eventually(lambda: hit(browser, "/"))
    assert 'rel="https://api.w.org/"' in found.headers["link"]


def test_a_page_is_not_sent_again(browser, eventually):
    browser.get("/")
    found = eventually(lambda: hit(browser, "/"))
    again = browser.get("/", **{"If-None-Match": found.headers["etag"]})
    assert (again.status, again.source, again.body) == (304, "HIT", "")


def test_an_editor_is_known_and_never_cached(host, browser, eventually):
    browser.get("/")
    assert eventually(lambda: hit(browser, "/"))
    ada = Plain(host).login("ada")
    page = ada.get("/")
    assert page.source == "FALLBACK"
    assert NAMES["ada"] in page.body
    assert NAMES["ada"] not in hit(browser, "/").body
