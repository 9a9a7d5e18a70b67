"""WordPress with MariaDB and clean URLs: who sees what, and when."""

import json
import re
import time

import pytest
from browser import Browser, crowd, hit

# Shown to whom is logged in, in the bar above every page.
NAMES = {"ada": "display-name'>Ada Lovelace", "bob": "display-name'>Bob Babbage"}


# Bytes; larger files stay on the disk (memfis_max_page).
MAX_PAGE = 131072


class Blog(Browser):
    site = "blog.example.org"

    def login(self, name):
        self.get("/wp-login.php")
        form = {"log": name, "pwd": "battery-staple", "wp-submit": "Log In", "testcookie": "1"}
        done = self.ask("POST", "/wp-login.php", form)
        assert (done.status, done.source) == (302, "FALLBACK"), done.body
        assert any(cookie.startswith("wordpress_logged_in_") for cookie in self.cookies)
        # As the editor in the browser does.
        self.nonce = self.get("/wp-admin/admin-ajax.php?action=rest-nonce").body
        assert re.fullmatch("[0-9a-f]{10}", self.nonce), self.nonce
        return self

    def write(self, path, **fields):
        """Send what the editor sends; returns what WordPress says of the post."""
        done = self.ask("POST", f"/wp-json/wp/v2/{path}", fields, **{"X-WP-Nonce": self.nonce})
        assert done.status in (200, 201), done.body
        assert done.source == "FALLBACK"
        return json.loads(done.body)

    def publish(self, title, content, **fields):
        """Write a new post; returns its number and path."""
        post = self.write("posts", title=title, content=content, status="publish", **fields)
        return post["id"], re.sub(r"^https?://[^/]+", "", post["link"])


@pytest.fixture
def host(blog_host):
    return blog_host


@pytest.fixture
def browser(host):
    """A visitor nobody knows."""
    return Blog(host)


@pytest.fixture
def ada(host):
    return Blog(host).login("ada")


@pytest.fixture
def bob(host):
    return Blog(host).login("bob")


def test_the_front_page_is_kept(host, browser, eventually):
    """As the sitemap names it."""
    for _ in range(2):
        found = eventually(lambda: hit(browser, "/"))
        assert found
        assert "wp-site-blocks" in found.body
        host.check_output("memfis purge '/**'")


def test_a_page_comes_from_php_then_from_memory(host, browser, eventually):
    # One that no sitemap names: those come back by themselves.
    path = time.strftime("/%Y/")
    host.check_output("memfis purge '/**'")
    answer = browser.get(path)
    assert (answer.status, answer.source) == (200, "FALLBACK")
    assert "wp-site-blocks" in answer.body
    assert "set-cookie" not in answer.headers
    found = eventually(lambda: hit(browser, path))
    assert found
    assert found.body == answer.body
    assert found.headers["content-type"] == answer.headers["content-type"].lower()


def test_what_the_browser_loads_comes_from_memory(browser, eventually):
    page = browser.get("/").body
    paths = set(re.findall(r"http://blog[.]example[.]org(/wp-(?:includes|content)/[^\"'?]+)", page))
    assert paths
    for path in paths:
        answer = browser.get(path)
        assert answer.status == 200, path
        if len(answer.body) <= MAX_PAGE:
            assert eventually(lambda path=path: hit(browser, path)), path


def test_pages_of_the_sitemap_are_in_memory_before_anybody_asks(host, browser, ada, eventually):
    _, path = ada.publish("In the map", "without a visitor")
    host.check_output("systemctl restart memfis-agent")
    found = eventually(lambda: host.run("memfis stat --site blog.example.org %s", path).rc == 0, 60)
    assert found, host.check_output("memfis status")
    assert "without a visitor" in hit(browser, path).body


@pytest.mark.parametrize(
    "path",
    [
        "/wp-config.php/",
        "/wp-config.php.bak",
        "/wp-includes/version.php~",
        "/wp-content/uploads/evil.php",
        "/wp-content/uploads/evil.php/x",
        "/.htaccess",
    ],
)
def test_no_source_is_sent(host, browser, path):
    host.check_output("printf '<?php /* secret */ echo 6*7;' > /srv/www/blog%s", "/evil.inc")
    host.check_output(
        "printf '<?php /* secret */ echo 6*7;' > /srv/www/blog/wp-content/uploads/evil.php"
    )
    answer = browser.get(path)
    assert answer.status in (200, 301, 404), answer.body
    assert not re.search(r"DB_NAME|secret|42|\$wp_version", answer.body)
    assert browser.get("/evil.inc").status == 404


def test_an_editor_is_known_and_never_cached(browser, ada, bob, eventually):
    browser.get("/")
    assert eventually(lambda: hit(browser, "/"))
    for visitor, name in ((ada, "ada"), (bob, "bob")):
        for path in ("/", "/wp-admin/", "/wp-admin/edit.php"):
            answer = visitor.get(path)
            assert (answer.status, answer.source) == (200, "FALLBACK"), path
        assert NAMES[name] in visitor.get("/").body
    # What WordPress begins to have with its first editor, styles or a menu, purges.
    for answer in (browser.get("/"), eventually(lambda: hit(browser, "/"))):
        for name in NAMES.values():
            assert name not in answer.body
    assert browser.get("/wp-admin/").status == 302


def test_a_draft_is_seen_by_its_author_alone(browser, ada):
    post = ada.write("posts", title="Soon", content="only seen before", status="draft")
    path = f"/?p={post['id']}&preview=true"
    seen = ada.get(path)
    assert (seen.status, seen.source) == (200, "FALLBACK")
    assert "only seen before" in seen.body
    assert "only seen before" not in browser.get(path).body
    assert "only seen before" not in browser.get(f"/?p={post['id']}").body


def test_preview_of_a_change_leaves_the_page(browser, ada, eventually):
    number, path = ada.publish("Draft", "as it stands")
    browser.get(path)
    assert eventually(lambda: hit(browser, path))
    saved = ada.write(f"posts/{number}/autosaves", title="Draft", content="not yet")
    preview = re.sub("^https?://[^/]+", "", saved["preview_link"])
    assert "preview_nonce=" in preview
    answer = ada.get(preview)
    assert (answer.status, answer.source) == (200, "FALLBACK")
    assert "not yet" in answer.body
    found = hit(browser, path)
    assert found
    assert "as it stands" in found.body
    assert "not yet" not in browser.get(preview).body


def test_search_finds_and_is_not_kept(browser, ada):
    ada.publish("Found", "a needle in it")
    for _ in range(2):
        answer = browser.get("/?s=needle")
        assert (answer.status, answer.source) == (200, "FALLBACK")
        assert "Found" in answer.body


def test_an_edit_is_seen_at_once_wherever_it_shows(host, browser, ada, eventually):
    number, path = ada.publish("News", "number zero")
    for text in ("one", "two", "three"):
        for page in (path, "/"):
            browser.get(page)
            assert eventually(lambda page=page: hit(browser, page))
        ada.write(f"posts/{number}", title=f"News {text}", content=f"number {text}")
        assert f"number {text}" in browser.get(path).body
        assert f"News {text}" in browser.get("/").body
    ada.write(f"posts/{number}", status="draft")
    assert browser.get(path).status == 404
    assert "News three" not in browser.get("/").body
    assert eventually(lambda: hit(browser, "/"))
    ada.write("settings", title="Called otherwise")
    assert "Called otherwise" in browser.get("/").body
    assert "memfis: PURGE" not in host.check_output("cat /var/log/nginx/error.log")


def test_a_comment_is_seen_by_all_and_its_author_known_to_none(browser, host, ada, eventually):
    number, path = ada.publish("Discussed", "what do you say?")
    browser.get(path)
    assert eventually(lambda: hit(browser, path))
    form = {
        "comment": "well said",
        "author": "Charles",
        "email": "charles@example.org",
        "wp-comment-cookies-consent": "yes",
        "comment_post_ID": str(number),
        "comment_parent": "0",
    }
    charles = Blog(host)
    ada.write("settings", default_comment_status="open")
    done = charles.ask("POST", "/wp-comments-post.php", form)
    assert (done.status, done.source) == (302, "FALLBACK"), done.body
    # He is known by his cookie now, and what he sees is made for him.
    assert any(cookie.startswith("comment_author_") for cookie in charles.cookies)
    assert charles.get(path).source == "FALLBACK"
    assert "charles@example.org" in charles.get(path).body
    seen = browser.get(path)
    assert "well said" in seen.body
    assert eventually(lambda: hit(browser, path))
    for each in (seen, hit(browser, path)):
        assert "charles@example.org" not in each.body
    # An editor takes it away again.
    [comment] = json.loads(browser.get(f"/wp-json/wp/v2/comments?post={number}").body)
    ada.write(f"comments/{comment['id']}", status="hold")
    assert "well said" not in browser.get(path).body


def test_new_code_is_seen(host, browser, eventually):
    browser.get("/")
    assert eventually(lambda: hit(browser, "/"))
    plugin = "/srv/www/blog/wp-content/mu-plugins/motto.php"
    code = "<?php add_action('wp_footer', function () { echo 'a new motto'; });"
    host.check_output("printf %s > %s", code, plugin)
    try:
        assert eventually(lambda: "a new motto" in browser.get("/").body)
        assert eventually(lambda: hit(browser, "/"))
        assert "a new motto" in hit(browser, "/").body
    finally:
        host.check_output("rm %s", plugin)
    assert eventually(lambda: "a new motto" not in browser.get("/").body)


def test_a_thousand_visitors_never_see_each_others_page(host, browser, ada, bob):
    _, path = ada.publish("Crowded", "for all")
    jars = {"ada": ada.cookies, "bob": bob.cookies}
    paths = ["/", path, "/?utm_source=%d", "/author/writer/", "/cold/%d"]
    hits, wrong = crowd(host, Blog.site, paths, NAMES, jars)
    assert wrong == []
    assert hits > 100


def test_what_is_refused_is_named(host, browser, eventually):
    assert browser.get("/feed/").source == "FALLBACK"
    status = eventually(lambda: "Content-Type" in host.check_output("memfis status"))
    assert status, host.check_output("memfis status")
    assert "header link" not in host.check_output("memfis status")


def test_its_settings_are_phps_alone(host):
    settings = "/srv/www/blog/wp-config.php"
    for user in ("www-data", "memfis", "nobody"):
        assert host.run("runuser -u %s -- cat %s", user, settings).rc != 0, user
    host.check_output("runuser -u memfis-php -- cat %s", settings)
