"""What a browser gets."""

import json
import re

import pytest


@pytest.mark.parametrize("path", ["/", "/index.html", "/library/", "/library/os.html"])
@pytest.mark.parametrize("name", ["docs.example.org", "www.docs.example.org"])
def test_page_from_memory(fetch, path, name):
    answer = fetch(path, name)
    assert (answer.status, answer.source) == (200, "HIT")
    assert answer.headers["content-type"] == "text/html"
    assert b"</html>" in answer.body


def test_page_is_the_file(host, fetch):
    expected = host.file("/srv/www/docs/library/os.html").content
    assert fetch("/library/os.html").body == expected


def test_pages_are_stored_compressed(fetch):
    answer = fetch("/library/os.html", **{"Accept-Encoding": "gzip"})
    assert answer.source == "HIT"
    assert answer.headers["content-encoding"] == "gzip"


def test_excluded_file_comes_from_disk(fetch):
    answer = fetch("/objects.inv")
    assert (answer.status, answer.source) == (200, "FALLBACK")


def test_directory_without_slash_is_redirected(fetch):
    answer = fetch("/library")
    assert answer.status == 301
    assert answer.headers["location"].endswith("/library/")


def test_missing_page(fetch):
    answer = fetch("/nothing-here.html")
    assert (answer.status, answer.source) == (404, "FALLBACK")


def test_post_to_a_static_site(fetch):
    assert fetch("/index.html", method="POST").status == 405


def test_head(fetch):
    answer = fetch("/index.html", method="HEAD")
    assert (answer.status, answer.source, answer.body) == (200, "HIT", b"")


def test_expiry_by_type(fetch):
    assert fetch("/_static/py.svg").headers["cache-control"] == "max-age=2592000"
    assert "cache-control" not in fetch("/index.html").headers


def test_new_file_with_the_agent_stopped_then_started(host, fetch, eventually):
    host.check_output("systemctl stop memfis-agent")
    try:
        host.check_output("echo '<p>new' > /srv/www/docs/new.html")
        answer = fetch("/new.html")
        assert (answer.status, answer.source, answer.body) == (200, "FALLBACK", b"<p>new\n")
    finally:
        host.check_output("systemctl start memfis-agent")
    assert eventually(lambda: fetch("/new.html").source == "HIT")


def test_changed_and_removed_file(host, fetch, eventually):
    host.check_output("echo one > /srv/www/docs/changing.txt")
    assert eventually(lambda: fetch("/changing.txt").source == "HIT")
    host.check_output("echo two > /srv/www/docs/changing.txt")
    assert eventually(lambda: fetch("/changing.txt").body == b"two\n")
    assert eventually(lambda: fetch("/changing.txt").source == "HIT")
    assert fetch("/changing.txt").body == b"two\n"
    host.check_output("rm /srv/www/docs/changing.txt /srv/www/docs/new.html")
    assert eventually(lambda: fetch("/changing.txt").status == 404)


def test_dotfiles_are_never_served(host, fetch):
    host.check_output("echo secret > /srv/www/docs/.secret")
    host.check_output("mkdir -p /srv/www/docs/.git /srv/www/docs/.well-known")
    host.check_output("echo secret > /srv/www/docs/.git/config")
    host.check_output("echo public > /srv/www/docs/.well-known/security.txt")
    for path in ("/.secret", "/%2esecret", "/.git/config", "/.git/", "/library/../.secret"):
        assert fetch(path).status == 404, path
    assert fetch("/.well-known/security.txt").body == b"public\n"


def test_https(fetch):
    answer = fetch("/", "secure.example.org", scheme="https")
    assert (answer.status, answer.source) == (200, "HIT")
    assert answer.headers["strict-transport-security"] == "max-age=300"


def test_a_site_that_is_read_by_lua_knows_what_a_visitor_has(host, fetch):
    first = fetch("/")
    again = fetch("/", **{"If-None-Match": first.headers["etag"]})
    assert (first.source, again.source, again.status, again.body) == ("HIT", "HIT", 304, b"")
    said = host.check_output("memfis check")
    assert re.search(r"^http://docs\.example\.org/  HIT  .*, read by lua$", said, re.MULTILINE)
    assert re.search(r"secure\.example\.org/  HIT  .*, read by memcached_pass$", said, re.MULTILINE)


def test_what_visitors_got_is_counted_where_lua_reads(host, fetch, metrics, eventually):
    counted = 'memfis_visitors_total{answer="hit",reason="",site="docs.example.org"}'
    before = metrics().get(counted, 0)
    assert fetch("/").source == "HIT"
    assert eventually(lambda: metrics()[counted] > before)
    [site] = json.loads(host.check_output("memfis status --json --site docs.example.org"))["sites"]
    assert site["visitors"]["hits"] > before
    assert sum(part["size"] for part in site["first_level"].values()) == 64 * 1024**2


def test_plain_http_is_sent_to_https(fetch):
    answer = fetch("/a?b", "secure.example.org")
    assert answer.status == 301
    assert answer.headers["location"] == "https://secure.example.org/a?b"


def test_error_page_keeps_its_status(fetch):
    answer = fetch("/nothing", "secure.example.org", scheme="https")
    assert answer.status == 404
    assert b"Served from memory" in answer.body


def test_site_that_is_not_ours(fetch):
    answer = fetch("/", "foreign", port=8081)
    assert (answer.status, answer.body, answer.source) == (200, b"foreign\n", None)


def test_killed_store_costs_nothing(host, fetch, eventually):
    host.check_output("systemctl stop memfis-memcached")
    try:
        answer = fetch("/")
        assert (answer.status, answer.source) == (200, "FALLBACK")
    finally:
        host.check_output("systemctl start memfis-memcached")
    assert eventually(lambda: fetch("/").source == "HIT", 60)


def test_killed_store_is_filled_again(host, fetch, eventually, metrics):
    def pid():
        return host.check_output("systemctl show --property=MainPID --value memfis-memcached")

    pages = metrics()['memfis_site_pages{site="docs.example.org"}']
    killed = pid()
    host.check_output("kill -9 %s", killed)
    # By systemd and the agent, with nobody's help.
    assert eventually(lambda: pid() not in ("0", killed) and fetch("/").source == "HIT")
    assert eventually(lambda: fetch("/library/os.html").source == "HIT")
    assert metrics()['memfis_site_pages{site="docs.example.org"}'] == pages
    assert host.run("runuser -u memfis -- memfis verify --site docs.example.org").rc == 0


def test_memory_and_disk_answer_alike(host):
    done = host.run(
        "runuser -u memfis -- memfis verify --site docs.example.org --http http://127.0.0.1"
    )
    assert done.rc == 0, done.stdout + done.stderr


def test_a_mount_is_its_owners_again_where_the_store_was_emptied(host):
    host.check_output("systemctl restart memfis-mount-files.example.org")
    assert host.file("/srv/files").user == "www-data"
