"""DokuWiki with clean URLs: who sees what, and when."""

import json

import pytest


def hit(browser, path):
    answer = browser.get(path)
    return answer if answer.source == "HIT" else None


def test_front_page_comes_from_php_then_from_memory(browser, ada, eventually):
    ada.edit("/start", "first words")
    answer = browser.get("/")
    assert (answer.status, answer.source) == (200, "FALLBACK")
    assert "first words" in answer.body
    assert "set-cookie" not in answer.headers
    found = eventually(lambda: hit(browser, "/"))
    assert found
    assert "first words" in found.body
    assert found.headers["content-type"] == answer.headers["content-type"].lower()


def test_a_page_with_a_clean_url(browser, ada, eventually):
    ada.edit("/notes/first", "a note")
    assert "a note" in browser.get("/notes/first").body
    assert eventually(lambda: hit(browser, "/notes/first"))
    # What a campaign adds selects nothing; what the wiki reads does.
    assert hit(browser, "/notes/first?utm_source=x")
    assert browser.get("/notes/first?do=revisions").source == "FALLBACK"


def test_what_the_browser_loads_works(browser):
    page = browser.get("/start")
    for path in ("/lib/exe/css.php?t=dokuwiki", "/lib/exe/js.php?t=dokuwiki"):
        answer = browser.get(path)
        assert (answer.status, answer.source) == (200, "FALLBACK"), path
    assert "/lib/exe/css.php" in page.body
    assert browser.get("/lib/tpl/dokuwiki/images/favicon.ico").status == 200
    assert browser.get("/_media/wiki/dokuwiki-128.png").status in (200, 404)


@pytest.mark.parametrize(
    "path",
    ["/data/pages/start.txt", "/conf/local.php", "/inc/preload.php", "/inc/lang/en/read.txt"],
)
def test_what_nobody_may_read(browser, path):
    assert browser.get(path).status == 403


def test_an_editor_is_known_and_never_cached(browser, ada, bob, eventually):
    ada.edit("/start", "for all")
    browser.get("/")
    assert eventually(lambda: hit(browser, "/"))
    for visitor, name in ((ada, "Ada Lovelace"), (bob, "Bob Babbage")):
        answer = visitor.get("/")
        assert answer.source == "FALLBACK"
        assert name in answer.body
    for name in ("Ada Lovelace", "Bob Babbage", 'sectok" value=".'):
        assert name not in hit(browser, "/").body


def test_preview_shows_and_leaves_the_page(browser, ada, eventually):
    ada.edit("/draft", "as it stands")
    assert "only seen before" in ada.edit("/draft", "only seen before", "preview").body
    assert "only seen before" not in browser.get("/draft").body
    assert eventually(lambda: hit(browser, "/draft"))
    assert "only seen before" not in hit(browser, "/draft").body


def test_search_finds_and_is_not_kept(browser, ada):
    ada.edit("/found", "a needle in it")
    # The wiki learns its words when a page is seen: by an image of the page.
    ada.get("/lib/exe/taskrunner.php?id=found")
    for _ in range(2):
        answer = browser.get("/start?do=search&q=needle")
        assert (answer.status, answer.source) == (200, "FALLBACK")
        assert "found" in answer.body


def test_an_edit_is_seen_at_once(browser, ada, eventually):
    for text in ("one", "two", "three"):
        ada.edit("/news", f"number {text}")
        assert f"number {text}" in browser.get("/news").body
        assert eventually(lambda: hit(browser, "/news"))
        assert f"number {text}" in hit(browser, "/news").body


_PURGE = """
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], 80, timeout=10)
connection.request("PURGE", "/start", headers={"Host": "wiki.example.org"})
print(connection.getresponse().status)
"""


def test_a_purge_is_for_this_host_alone(host):
    other = host.check_output("hostname -I").split()[0]
    assert host.check_output("python3 -c %s %s", _PURGE, other) == "403"
    assert host.check_output("python3 -c %s %s", _PURGE, "127.0.0.1") == "200"


# Half of all are nobody, the others one of two editors with a session each.
_CROWD = """
import http.client, json, sys
from concurrent.futures import ThreadPoolExecutor
jars, paths = json.loads(sys.argv[1]), ["/", "/start", "/notes/first", "/news", "/cold/%d"]
NAMES = {"ada": "Ada Lovelace", "bob": "Bob Babbage"}

def ask(number):
    who = [None, "ada", None, "bob"][number % 4]
    path = paths[number // 4 % 5].replace("%d", str(number // 40))
    headers = {"Host": "wiki.example.org"}
    if who:
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in jars[who].items())
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=60)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode("latin-1")
    cookies = answer.headers.get_all("Set-Cookie") or []
    connection.close()
    wrong = []
    if answer.status not in (200, 404):
        wrong.append(f"status {answer.status}")
    for name, shown in NAMES.items():
        if (shown in body) != (name == who):
            wrong.append(f"{shown} {'missing' if name == who else 'shown'}")
    for jar in jars.values():
        if not who and (cookies or any(value in body for value in jar.values() if value)):
            wrong.append(f"cookies {cookies}")
    if who and answer.getheader("X-Memfis") != "FALLBACK":
        wrong.append("from memory")
    return answer.getheader("X-Memfis"), [f"{who} {path}: {each}" for each in wrong]

with ThreadPoolExecutor(24) as pool:
    done = list(pool.map(ask, range(1000)))
print(json.dumps([[source for source, _ in done].count("HIT"), sum((w for _, w in done), [])]))
"""


def test_a_thousand_visitors_never_see_each_others_page(host, ada, bob):
    jars = json.dumps({"ada": ada.cookies, "bob": bob.cookies})
    done = host.run("python3 -c %s %s", _CROWD, jars)
    assert done.rc == 0, done.stderr
    hits, wrong = json.loads(done.stdout)
    assert wrong == []
    assert hits > 100


def test_php_that_is_stopped_costs_no_page_in_memory(host, browser, ada, eventually):
    ada.edit("/kept", "still here")
    browser.get("/kept")
    assert eventually(lambda: hit(browser, "/kept"))
    [settings] = host.check_output("ls -d /etc/php/*/fpm").split()
    unit = f"php{settings.split('/')[3]}-fpm"
    host.check_output("systemctl stop %s", unit)
    try:
        for number in range(5):
            assert "still here" in hit(browser, "/kept").body
            assert browser.get(f"/never/seen/{number}").status == 502
            assert ada.get("/kept").status == 502
    finally:
        host.check_output("systemctl start %s", unit)
    assert "still here" in ada.get("/kept").body
