"""The first play, all of it under umask 077, and the second."""

import json

import pytest

from support.plays import told

SITES = ("docs.example.org", "home.example.org")


@pytest.fixture(scope="module")
def first(play):
    return play(umask=0o077, molecule_umask="077")


def test_every_site_is_in_memory(host, fetch, first):
    assert first.returncode == 0
    for site in SITES:
        assert f"http://{site}/ HIT, 1 page" in told(first)
        assert fetch(site)[0] == "HIT"
    assert "nginx warns" not in first.stdout
    checked = json.loads(host.check_output("memfis check --json"))
    assert [site["problems"] for site in checked["sites"]] == [[], []]


def test_nginx_without_its_lua_module(host, play, first):
    """Nobody has asked for it, so pages are read without; who asks is told, and nothing changes."""
    assert not host.package("libnginx-mod-http-lua").is_installed
    assert "load_module" not in host.check_output("nginx -T")
    read_by = [f"{site}/  HIT  1 page, read by memcached_pass" for site in SITES]
    said = host.check_output("memfis check")
    assert all(f"http://{line}" in said for line in read_by), said
    done = play(memfis_from_memory="lua")
    assert done.returncode != 0
    assert (
        "from_memory: 'lua': apt has no libnginx-mod-http-lua for the nginx of neighbours.memfis"
        " (Package 'libnginx-mod-http-lua' has no installation candidate); write memcached_pass, or"
        " install the distribution's nginx"
    ) in told(done)
    assert host.check_output("memfis check") == said


def test_umask(host, first):
    """Others than root can use what was made."""
    for user in ("nobody", "memfis"):
        assert "memfis" in host.check_output("runuser -u %s -- memfis --version", user)
        host.check_output("runuser -u %s -- cat /usr/local/share/man/man1/memfis.1", user)
    host.check_output("runuser -u nobody -- cat /srv/www/docs/index.html")


def test_conf_d_and_another_user(host, first):
    for site in SITES:
        assert host.file(f"/etc/nginx/conf.d/memfis-{site}.conf").is_symlink
    assert host.run("ls /etc/nginx/sites-enabled/memfis-*").rc != 0
    assert host.file("/run/memfis-store/memcached.sock").group == "webrun"
    assert host.file("/home/webrun").mode == 0o750


def test_no_ipv6(host, first):
    assert "[::]" not in host.check_output("cat /etc/nginx/conf.d/memfis-*.conf")
    # Who has written it there all the same is not told that nobody can be asked.
    file = "/etc/nginx/sites-available/memfis-home.example.org.conf"
    host.check_output("cp %s /root/site.conf", file)
    host.check_output("sed --in-place 's/^ *listen 80;/listen 80; listen [::]:80;/' %s", file)
    try:
        host.check_output("systemctl reload nginx")
        assert "[::]:80" in host.check_output("nginx -T")
        checked = host.run("memfis check")
        assert checked.rc == 0, checked.stdout
    finally:
        host.check_output("cp /root/site.conf %s && systemctl reload nginx", file)


def test_neighbours_are_as_before(fetch, first):
    assert fetch("foreign", 8081) == ("", "foreign")
    assert "Apache2" in fetch("localhost", 8080)[1]


def test_second_play_changes_nothing(play, first):
    done = play(umask=0o022)
    assert done.returncode == 0
    assert "changed=0" in done.stdout
