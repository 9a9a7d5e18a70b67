"""WordPress behind a proxy that ends TLS, on the blog's host: who is asked for, and who asks."""

import json

import pytest
from browser import Browser, hit
from test_blog import NAMES, Blog

# An address of this host that is no proxy's.
VISITOR = "127.0.0.2"

REMOTE = """<?php
$names = ['REMOTE_ADDR', 'HTTPS', 'HTTP_HOST', 'HTTP_X_FORWARDED_FOR', 'HTTP_X_FORWARDED_PROTO'];
echo json_encode(array_map(fn ($name) => $_SERVER[$name] ?? '', array_combine($names, $names)));
"""


class Secure(Blog):
    site = "secure.example.org"
    port = 8443


class Direct(Browser):
    """Who asks the web host itself, past the proxy."""

    site = "secure.example.org"


@pytest.fixture
def host(blog_host):
    return blog_host


@pytest.fixture
def browser(host):
    """A visitor nobody knows."""
    return Secure(host, VISITOR)


@pytest.fixture
def ada(host):
    return Secure(host, VISITOR).login("ada")


@pytest.fixture
def remote(host):
    """The URL of a script that says who it thinks asks; its argument makes it nobody else's."""
    host.check_output("printf %s > /srv/www/blog/remote.php", REMOTE)
    yield "/remote.php?who=asks"
    host.check_output("rm /srv/www/blog/remote.php")


def test_front_page_comes_from_php_then_from_memory(host, browser, eventually):
    host.check_output("memfis purge --site secure.example.org '/*'")
    answer = browser.get("/")
    # By plain HTTP WordPress would send him to HTTPS, again and again.
    assert (answer.status, answer.source) == (200, "FALLBACK")
    assert "https://secure.example.org/" in answer.body
    assert "http://secure.example.org/" not in answer.body
    found = eventually(lambda: hit(browser, "/"))
    assert found
    assert found.body == answer.body


def test_what_is_asked_of_php_as_it_is_is_no_loop(browser):
    answer = browser.get("/?s=nothing")
    assert (answer.status, answer.source) == (200, "FALLBACK")
    assert browser.get("/wp-login.php").status == 200


def test_an_editor_is_known_and_never_cached(browser, ada, eventually):
    assert any(cookie.startswith("wordpress_sec_") for cookie in ada.cookies)
    browser.get("/")
    assert eventually(lambda: hit(browser, "/"))
    for path in ("/", "/wp-admin/", "/wp-admin/edit.php"):
        answer = ada.get(path)
        assert (answer.status, answer.source) == (200, "FALLBACK"), path
    assert NAMES["ada"] in ada.get("/").body
    for answer in (browser.get("/"), eventually(lambda: hit(browser, "/"))):
        assert NAMES["ada"] not in answer.body


def test_an_edit_is_seen_at_once(browser, ada, eventually):
    number, path = ada.publish("Securely", "number zero")
    for text in ("one", "two"):
        browser.get(path)
        assert eventually(lambda: hit(browser, path))
        ada.write(f"posts/{number}", content=f"number {text}")
        assert f"number {text}" in browser.get(path).body


def test_php_sees_who_asks_the_proxy_and_how(browser, remote):
    # What he claims himself is before what the proxy adds.
    seen = json.loads(browser.get(remote, **{"X-Forwarded-For": "192.0.2.7"}).body)
    assert seen["REMOTE_ADDR"] == VISITOR
    assert seen["HTTPS"] == "on"
    assert seen["HTTP_HOST"] == "secure.example.org"


def test_the_log_has_who_asks_the_proxy(host, browser, remote):
    browser.get(f"{remote}&by=proxy", **{"X-Forwarded-For": "192.0.2.7"})
    [line] = host.check_output("grep -F by=proxy /var/log/nginx/access.log").splitlines()[-1:]
    assert line.split()[0] == VISITOR


def test_what_others_than_the_proxy_claim_is_taken_off(host, remote):
    claims = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
    seen = json.loads(Direct(host, VISITOR).get(remote, **claims).body)
    assert seen == {
        "REMOTE_ADDR": VISITOR,
        "HTTPS": "",
        "HTTP_HOST": "secure.example.org",
        "HTTP_X_FORWARDED_FOR": "",
        "HTTP_X_FORWARDED_PROTO": "",
    }


def test_a_purge_through_the_proxy_is_its_visitors(host, browser):
    assert browser.ask("PURGE", "/").status == 403
    assert Direct(host, VISITOR).ask("PURGE", "/").status == 403
    assert Direct(host).ask("PURGE", "/").status == 200
