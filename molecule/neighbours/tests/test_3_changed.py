"""What changes around a host that is set up."""

import re
from contextlib import contextmanager

from support.plays import told

CONF = "/etc/nginx/nginx.conf"
NAME = "docs.example.org"
QUICK = "--tags=configure,run"


@contextmanager
def written(host, path, text):
    """Have a file with `text`."""
    host.check_output("mkdir --parents $(dirname %s) && printf %%s %s >%s", path, text, path)
    try:
        yield
    finally:
        host.check_output("rm %s", path)


def test_another_site_has_the_name(host, play):
    other = "/etc/nginx/conf.d/another.conf"
    with written(host, other, f"server {{ listen 80; server_name {NAME}; return 200 another; }}"):
        host.check_output("systemctl reload nginx")
        done = play(QUICK)
    host.check_output("systemctl reload nginx")
    assert done.returncode != 0
    said = told(done)
    file = f"/etc/nginx/conf.d/memfis-{NAME}.conf"
    assert re.search(rf"http://{NAME}/ at 127[.\d]+:80 is answered by {other}, not by {file}", said)
    assert f'nginx warns: conflicting server name "{NAME}" on 0.0.0.0:80, ignored' in said


def test_a_store_that_does_not_start(host, fetch, play):
    """By `memfis check` and at the end of a play, in the store's own words; pages are from disk."""
    start = "ExecStart=/usr/bin/memcached --unix-socket=/run/memfis-store/memcached.sock"
    drop_in = f"[Service]\nExecStart=\n{start} --memory-limit=64 --max-item-size=64m\n"
    with written(host, "/etc/systemd/system/memfis-memcached.service.d/broken.conf", drop_in):
        host.check_output("systemctl daemon-reload && systemctl restart memfis-memcached")
        checked = host.run("memfis check")
        done = play("--tags=run")
        source = fetch(NAME)[0]
    # It is tried again and again, however often it has failed.
    host.check_output("systemctl daemon-reload")
    host.check_output(
        "timeout 20 sh -c 'until systemctl is-active memfis-memcached; do sleep 1; done'"
    )
    words = "Cannot set item size limit higher than 1/2 of memory max."
    assert checked.rc == 1
    assert f"memfis-memcached.service said at last: {words}" in checked.stdout
    assert done.returncode != 0
    assert f"memfis-memcached.service: {words}" in told(done)
    assert source == "FALLBACK"


def test_nginx_conf_that_takes_no_sites(host, play):
    host.check_output("cp --archive %s /root/own.conf", CONF)
    host.check_output("sed --in-place '/include .*conf[.]d/d' %s", CONF)
    try:
        done = play(QUICK)
    finally:
        host.check_output("cp --archive /root/own.conf %s", CONF)
    assert done.returncode != 0
    assert f"{CONF} takes sites from nowhere: put" in told(done)
    assert "changed=0" in done.stdout


def test_nginx_conf_as_it_came(host, fetch, play):
    """The user and the directory that Debian has: sites move, and what was made for the other."""
    host.check_output("rm /etc/apt/preferences.d/no-lua")
    host.check_output("apt-get install --yes --no-install-recommends libnginx-mod-http-lua")
    # It is there, and not loaded.
    done = play(QUICK, memfis_from_memory="lua")
    assert done.returncode != 0
    assert "from_memory: 'lua': nginx does not load its Lua module: install" in told(done)
    host.check_output("cp /root/nginx.conf %s", CONF)
    # What home.example.org has may be read by nobody else.
    done = play(QUICK, memfis_sites=[{"server_names": [NAME], "root": "/srv/www/docs"}])
    assert done.returncode == 0, done.stdout
    assert host.run("ls /etc/nginx/conf.d/memfis-*").rc != 0
    assert host.file(f"/etc/nginx/sites-enabled/memfis-{NAME}.conf").is_symlink
    assert host.file("/run/memfis-store/memcached.sock").group == "www-data"
    assert fetch(NAME)[0] == "HIT"
    # It loads the modules that are installed, as Debian's does.
    assert f"http://{NAME}/  HIT  1 page, read by lua" in host.check_output("memfis check")
    assert "[warn]" not in host.run("nginx -t").stderr
