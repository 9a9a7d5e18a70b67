"""MediaWiki with SQLite and clean URLs: who sees what, and when."""

import json
import re
from urllib.parse import quote

import pytest
from browser import Browser, crowd, hit

# In the page of whom is logged in, for its scripts.
NAMES = {"ada": '"wgUserName":"Ada"', "bob": '"wgUserName":"Bob"'}


class Lexicon(Browser):
    site = "lexicon.example.org"

    def login(self, name):
        path = "/wiki/Special:UserLogin"
        form = {
            "title": "Special:UserLogin",
            "wpName": name.title(),
            "wpPassword": "battery-staple",
            "wploginattempt": "Log in",
            "authAction": "login",
            "wpLoginToken": self.get(path).field("wpLoginToken"),
        }
        done = self.ask("POST", path, form)
        assert (done.status, done.source) == (302, "FALLBACK"), done.body
        assert self.cookies["lexiconUserName"] == name.title()
        return self

    def token(self):
        answer = self.get("/api.php?action=query&meta=tokens&format=json")
        assert (answer.status, answer.source) == (200, "FALLBACK")
        return json.loads(answer.body)["query"]["tokens"]["csrftoken"]

    def write(self, title, text):
        form = {"action": "edit", "format": "json", "title": title, "text": text}
        done = self.ask("POST", "/api.php", {**form, "token": self.token()})
        assert '"result":"Success"' in done.body, done.body
        assert done.source == "FALLBACK"


@pytest.fixture
def host(lexicon_host):
    return lexicon_host


@pytest.fixture
def browser(host):
    """A visitor nobody knows."""
    return Lexicon(host)


@pytest.fixture
def ada(host):
    return Lexicon(host).login("ada")


@pytest.fixture
def bob(host):
    return Lexicon(host).login("bob")


def test_front_page_comes_from_php_then_from_memory(browser, ada, eventually):
    ada.write("Main Page", "first words")
    for path in ("/", "/wiki/Main_Page"):
        answer = browser.get(path)
        assert (answer.status, answer.source) == (200, "FALLBACK")
        assert "first words" in answer.body
        assert "set-cookie" not in answer.headers
        found = eventually(lambda path=path: hit(browser, path))
        assert found
        assert "first words" in found.body
        for name in ("content-type", "content-language", "link", "x-content-type-options"):
            assert found.headers.get(name) == answer.headers.get(name), name
        assert found.headers["x-content-type-options"] == "nosniff"


def test_a_page_with_a_clean_url(browser, ada, eventually):
    ada.write("First note", "a note")
    assert "a note" in browser.get("/wiki/First_note").body
    assert eventually(lambda: hit(browser, "/wiki/First_note"))
    # What a campaign adds selects nothing; what the wiki reads does.
    assert hit(browser, "/wiki/First_note?utm_source=x")
    assert browser.get("/wiki/First_note?action=history").source == "FALLBACK"


@pytest.mark.parametrize(
    "title", ["AC/DC", "Café", "A & B", "C++", "What?", "50%", ".NET", "Robots!", "Foo (bar)"]
)
def test_whatever_a_page_is_called(browser, ada, eventually, title):
    # As MediaWiki writes its links.
    path = "/wiki/" + quote(title.replace(" ", "_"), safe=";@$!*(),/~:")
    for text in ("number one", "number two"):
        ada.write(title, text)
        answer = browser.get(path)
        assert (answer.status, answer.source) == (200, "FALLBACK")
        assert text in answer.body
        found = eventually(lambda: hit(browser, path))
        assert found
        assert text in found.body


def test_a_name_that_looks_like_a_files_is_a_pages(browser, ada):
    # nginx would say another type from memory: so it stays PHP's.
    ada.write("Node.js", "no script")
    answer = browser.get("/wiki/Node.js")
    assert (answer.status, answer.source) == (200, "FALLBACK")
    assert "no script" in answer.body


def test_what_the_browser_loads_works(browser, eventually):
    page = browser.get("/wiki/Main_Page").body
    scripts = set(re.findall(r'(?:src|href)="(/load[.]php[^"]+)"', page))
    assert scripts
    for path in scripts:
        answer = browser.get(path.replace("&amp;", "&"))
        assert (answer.status, answer.source) == (200, "FALLBACK"), path
    pictures = set(re.findall(r'(?:src|href)="(/resources/[^"?]+)"', page))
    assert pictures
    for path in pictures:
        assert eventually(lambda path=path: hit(browser, path)), path


@pytest.mark.parametrize(
    "path",
    [
        "/includes/templates/NoLocalSettings.mustache",
        "/vendor/composer/installed.json",
        "/maintenance/tables.json",
        "/languages/i18n/en.json",
        "/mw-config/index.php",
    ],
)
def test_what_nobody_may_read(browser, path):
    assert browser.get(path).status == 403


def test_an_editor_is_known_and_never_cached(browser, ada, bob, eventually):
    ada.write("Known", "for all")
    browser.get("/wiki/Known")
    assert eventually(lambda: hit(browser, "/wiki/Known"))
    for visitor, name in ((ada, "ada"), (bob, "bob")):
        for path in ("/wiki/Known", "/wiki/Special:Preferences", "/wiki/Special:Watchlist"):
            answer = visitor.get(path)
            assert (answer.status, answer.source) == (200, "FALLBACK"), path
            assert NAMES[name] in answer.body
    for path in ("/wiki/Known", "/wiki/Special:Preferences"):
        for name in NAMES.values():
            assert name not in browser.get(path).body
    assert hit(browser, "/wiki/Known")


def test_who_has_logged_out_is_nobody_again(browser, ada, eventually):
    browser.get("/wiki/Main_Page")
    assert eventually(lambda: hit(browser, "/wiki/Main_Page"))
    form = {"action": "logout", "format": "json", "token": ada.token()}
    assert ada.ask("POST", "/api.php", form).status == 200
    assert NAMES["ada"] not in ada.get("/wiki/Main_Page").body
    # His session is over, and for some seconds he sees what is new; his name stays.
    assert "lexicon_session" not in ada.cookies
    for short in ("UseCDNCache", "UseDC", "cpPosIndex"):
        ada.cookies.pop(short, None)
    assert ada.cookies["lexiconUserName"] == "Ada"
    # And this everybody has who runs MediaWiki's scripts.
    ada.cookies["lexiconmwuser-sessionId"] = "0123456789abcdef0123"
    assert hit(ada, "/wiki/Main_Page"), ada.cookies


def test_who_writes_without_a_name_sees_it(browser, host, ada, eventually):
    ada.write("Sandbox", "as it was")
    browser.get("/wiki/Sandbox")
    assert eventually(lambda: hit(browser, "/wiki/Sandbox"))
    nobody = Lexicon(host)
    nobody.write("Sandbox", "as it is")
    assert "UseCDNCache" in nobody.cookies
    answer = nobody.get("/wiki/Sandbox")
    assert answer.source == "FALLBACK"
    assert "as it is" in answer.body
    assert "as it is" in browser.get("/wiki/Sandbox").body


def test_preview_shows_and_leaves_the_page(browser, ada, eventually):
    ada.write("Draft", "as it stands")
    form = {"wpTextbox1": "only seen before", "wpPreview": "1", "wpEditToken": ada.token()}
    done = ada.ask("POST", "/index.php?title=Draft&action=submit", form)
    assert (done.status, done.source) == (200, "FALLBACK")
    assert "only seen before" in done.body
    assert "only seen before" not in browser.get("/wiki/Draft").body
    assert eventually(lambda: hit(browser, "/wiki/Draft"))
    assert "only seen before" not in hit(browser, "/wiki/Draft").body


def test_search_finds_and_is_not_kept(browser, ada):
    ada.write("Found", "a needle in it")
    for _ in range(2):
        answer = browser.get("/index.php?search=needle&ns0=1&fulltext=1")
        assert (answer.status, answer.source) == (200, "FALLBACK")
        assert "Found" in answer.body


def test_an_edit_is_seen_at_once(host, browser, ada, eventually):
    for text in ("one", "two"):
        for title, paths in (("News", ["/wiki/News"]), ("Main Page", ["/", "/wiki/Main_Page"])):
            ada.write(title, f"number {text}")
            for path in paths:
                assert f"number {text}" in browser.get(path).body
                found = eventually(lambda path=path: hit(browser, path))
                assert found
                assert f"number {text}" in found.body
    browser.get("/wiki/News_of_old")
    move = {"action": "move", "format": "json", "from": "News", "to": "News of old"}
    assert '"redirectcreated"' in ada.ask("POST", "/api.php", move | {"token": ada.token()}).body
    assert "Redirected from" in browser.get("/wiki/News").body
    assert "number two" in browser.get("/wiki/News_of_old").body
    assert eventually(lambda: hit(browser, "/wiki/News"))
    delete = {"action": "delete", "format": "json", "title": "News", "token": ada.token()}
    assert '"logid"' in ada.ask("POST", "/api.php", delete).body
    assert browser.get("/wiki/News").status == 404
    # MediaWiki notes nowhere what it could not purge.
    log = host.check_output("cat /var/log/nginx/access.log")
    assert set(re.findall(r'"PURGE \S+ HTTP/1.1" (\d+)', log)) == {"200"}


def test_an_edit_of_what_others_show_is_seen_when_its_jobs_are_done(host, browser, ada, eventually):
    ada.write("Template:Motto", "an old motto")
    ada.write("Shows", "{{Motto}}")
    browser.get("/wiki/Shows")
    assert eventually(lambda: hit(browser, "/wiki/Shows"))
    ada.write("Template:Motto", "a new motto")
    jobs = "php /usr/share/mediawiki/maintenance/runJobs.php"
    host.check_output(f"runuser --user=memfis-php -- {jobs}")
    assert "a new motto" in browser.get("/wiki/Shows").body


def test_many_visitors_never_see_each_others_page(host, browser, ada, bob):
    ada.write("Crowded", "for all")
    kept = ("lexicon_session", "lexiconUserID", "lexiconUserName")
    jars = {
        name: {cookie: visitor.cookies[cookie] for cookie in kept}
        for name, visitor in (("ada", ada), ("bob", bob))
    }
    paths = ["/", "/wiki/Crowded", "/wiki/Crowded?utm_source=%d", "/wiki/Main_Page", "/wiki/Cold%d"]
    hits, wrong = crowd(host, Lexicon.site, paths, NAMES, jars, visitors=400)
    assert wrong == []
    assert hits > 40


def test_what_may_not_be_framed_comes_from_memory(browser, eventually):
    path = "/wiki/Special:RecentChanges"
    answer = browser.get(path)
    assert answer.headers["x-frame-options"] == "DENY"
    found = eventually(lambda: hit(browser, path))
    assert found.headers["x-frame-options"] == "DENY"


def test_what_is_refused_is_named(host, browser, eventually):
    assert browser.get("/wiki/Special:Version").source == "FALLBACK"
    refused = "Cache-Control: private: /wiki/Special:Version"
    status = eventually(lambda: refused in host.check_output("memfis status"))
    assert status, host.check_output("memfis status")
    status = host.check_output("memfis status")
    for each in ("header ", "Vary"):
        assert each not in status


def test_its_settings_are_phps_alone(host):
    settings = "/etc/mediawiki/LocalSettings.php"
    for user in ("www-data", "memfis", "nobody"):
        assert host.run("runuser -u %s -- cat %s", user, settings).rc != 0, user
    host.check_output("runuser -u memfis-php -- cat %s", settings)
