"""DokuWiki with clean URLs: who sees what, and when."""

import pytest
from browser import Browser, crowd, hit


class Wiki(Browser):
    site = "wiki.example.org"

    def login(self, name):
        done = self.ask("POST", "/start", {"do": "login", "u": name, "p": "battery-staple"})
        assert done.status in (200, 302)
        assert any(cookie.startswith("DW") for cookie in self.cookies), done.body
        return self

    def edit(self, page, text, action="save"):
        """Write `text`, or look at it before: action `preview`."""
        form = self.get(f"{page}?do=edit")
        assert form.status == 200
        assert form.source == "FALLBACK"
        fields = {name: form.field(name) for name in ("sectok", "id", "date", "changecheck")}
        more = {"prefix": ".", "suffix": "", "target": "section", "rev": "0"}
        sent = {**fields, **more, "wikitext": text, "summary": "said why", f"do[{action}]": "1"}
        done = self.ask("POST", page, sent)
        assert done.status == (302 if action == "save" else 200), done.body
        assert done.source == "FALLBACK"
        return done


@pytest.fixture
def host(wiki_host):
    return wiki_host


@pytest.fixture
def browser(host):
    """A visitor nobody knows."""
    return Wiki(host)


@pytest.fixture
def ada(host):
    return Wiki(host).login("ada")


@pytest.fixture
def bob(host):
    return Wiki(host).login("bob")


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


def test_a_thousand_visitors_never_see_each_others_page(host, ada, bob):
    paths = ["/", "/start", "/notes/first", "/news", "/cold/%d"]
    names = {"ada": "Ada Lovelace", "bob": "Bob Babbage"}
    jars = {"ada": ada.cookies, "bob": bob.cookies}
    hits, wrong = crowd(host, Wiki.site, paths, names, jars)
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
