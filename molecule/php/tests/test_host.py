"""What stands on the host, and who may use what."""

import pytest

_CONNECT = """
import socket, sys
kind = socket.SOCK_DGRAM if "hints" in sys.argv[1] else socket.SOCK_STREAM
socket.socket(socket.AF_UNIX, kind).connect(sys.argv[1])
"""
POOL = "/run/memfis-php/php.sock"


@pytest.fixture
def host(wiki_host):
    return wiki_host


def may_connect(host, user, path):
    assert host.file(path).exists, path
    return host.run("runuser -u %s -- python3 -c %s %s", user, _CONNECT, path).rc == 0


def test_services_run_now_and_at_boot(host):
    [pools] = host.check_output("ls -d /etc/php/*/fpm").split()
    version = pools.split("/")[3]
    for unit in (f"php{version}-fpm", "nginx", "memfis-agent", "memfis-agent.socket"):
        assert host.service(unit).is_running, unit
        assert host.service(unit).is_enabled, unit
    assert host.check_output("systemctl --failed --no-legend --plain") == ""


@pytest.mark.parametrize(
    "path",
    [
        "/run/memfis-store/memcached.sock",
        "/run/memfis-origin/wiki.example.org.sock",
        "/run/memfis/agent.sock",
        "/run/memfis/metrics.sock",
        "/run/memfis-agent/hints.sock",
        "/run/memfis-agent/purge.sock",
        POOL,
    ],
)
def test_php_opens_no_socket(host, path):
    assert not may_connect(host, "memfis-php", path)
    assert not may_connect(host, "nobody", path)


def test_nginx_opens_what_it_needs(host):
    for path in (POOL, "/run/memfis-agent/hints.sock", "/run/memfis-agent/purge.sock"):
        assert may_connect(host, "www-data", path), path
    assert not may_connect(host, "memfis", POOL)


def test_what_nginx_keeps_can_be_removed_by_the_agent_and_read_by_nobody_else(host):
    kept = "/run/memfis-microcache/wiki.example.org"
    found = host.file(kept)
    assert (found.user, found.group, oct(found.mode)) == ("www-data", "memfis", "0o770")
    host.check_output("runuser -u www-data -- touch %s/test", kept)
    assert host.run("runuser -u memfis-php -- ls %s", kept).rc != 0
    host.check_output("runuser -u memfis -- rm %s/test", kept)


def test_the_packages_own_pool_is_as_it_was(host):
    [pool] = host.check_output("ls /etc/php/*/fpm/pool.d/www.conf").split()
    assert host.run("dpkg --verify $(dpkg-query --search %s | cut -d: -f1)", pool).stdout == ""
    users = host.check_output("ps -C $(basename /usr/sbin/php-fpm*) -o user:32=,args=")
    assert "pool www" in users
    assert {line.split()[0] for line in users.splitlines() if "pool memfis" in line} == {
        "memfis-php"
    }
