"""Hosts that are somebody's own: another site with the same name, and an nginx.conf of their own.

Runs the playbook, and comes after test_zz_changes.py, which leaves the first site.
"""

import re
from contextlib import contextmanager

import pytest

CONF = "/etc/nginx/nginx.conf"
ENABLED = "/etc/nginx/sites-enabled"
NAME = "docs.example.org"


@contextmanager
def nginx_conf(host, edit):
    """Let `edit`, a script of sed's, change nginx.conf, and give it back in the end."""
    host.check_output("cp --archive %s /root/nginx.conf", CONF)
    host.check_output("sed --in-place --regexp-extended %s %s", edit, CONF)
    try:
        yield
    finally:
        host.check_output("cp --archive /root/nginx.conf %s", CONF)


def told(done):
    """Return what a play printed, in one line: Ansible breaks long ones."""
    return " ".join(done.stdout.split())


def test_another_site_has_the_name(host, fetch, play, sites):
    other = f"{ENABLED}/another.conf"
    site = f"server {{ listen 80; server_name {NAME}; return 200 another; }}"
    host.check_output("echo %s >%s && systemctl reload nginx", site, other)
    try:
        done = play(sites[:1])
    finally:
        host.check_output("rm %s && systemctl reload nginx", other)
    assert done.returncode != 0
    said = told(done)
    file = f"{ENABLED}/memfis-{NAME}.conf"
    assert re.search(rf"http://{NAME}/ at 127[.\d]+:80 is answered by {other}, not by {file}", said)
    assert f'nginx warns: conflicting server name "{NAME}" on 0.0.0.0:80, ignored' in said


def test_nginx_conf_that_takes_no_sites(host, play, sites):
    with nginx_conf(host, "/include .*(sites-enabled|conf[.]d)/d"):
        done = play(sites[:1])
    assert done.returncode != 0
    assert f"{CONF} takes sites from nowhere: put" in told(done)
    assert "changed=0" in done.stdout


@pytest.fixture
def webrun(host):
    """A user of the administrator's own that nginx runs as, and a site in its home."""
    host.check_output("useradd --create-home webrun && chmod 0750 /home/webrun")
    home = "/home/webrun/public"
    host.check_output("mkdir %s && echo home >%s/index.html", home, home)
    host.check_output("chown --recursive webrun: %s", home)
    yield home
    # A worker of nginx may still be about to end.
    host.run("userdel --force --remove webrun")


def test_nginx_conf_of_ones_own(host, fetch, play, sites, webrun):
    """Another user, sites from conf.d alone, a root in a home that others may not enter."""
    # The store still holds the files of a site without a disk, so no play would restart it.
    host.check_output("systemctl restart memfis-memcached")
    both = [*sites[:1], {"server_names": ["home.example.org"], "root": webrun}]
    with nginx_conf(host, "s/^user .*/user webrun;/; /include .*sites-enabled/d"):
        done = play(both)
        assert done.returncode == 0, done.stdout
        assert "http://home.example.org/ HIT, 1 page" in told(done)
        assert f"http://{NAME}/ HIT, " in told(done)
        assert "nginx warns" not in done.stdout
        assert host.run("ls %s/memfis-*", ENABLED).rc != 0
        assert host.file("/etc/nginx/conf.d/memfis-home.example.org.conf").is_symlink
        assert host.file("/run/memfis-store/memcached.sock").group == "webrun"
    done = play(sites[:1])
    assert done.returncode == 0, done.stdout
    assert host.run("ls /etc/nginx/conf.d/memfis-*").rc != 0
    assert host.file(f"{ENABLED}/memfis-{NAME}.conf").is_symlink
    assert fetch("/").source == "HIT"
    assert "[warn]" not in host.run("nginx -t").stderr
