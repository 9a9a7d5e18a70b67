"""Pages that one host publishes and all serve, from one store."""

import json
import os
import time
from dataclasses import dataclass

import pytest

from support.containers import container

WEB = ("web1.memfis-couchbase", "web2.memfis-couchbase")
HOT_TTL = 1.0

_FETCH = """
import http.client, json, sys, time
connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=10)
begun = time.monotonic()
connection.request("GET", sys.argv[1], headers={"Host": "pages.example.org"})
answer = connection.getresponse()
body = answer.read().decode("latin-1")
print(json.dumps([answer.status, answer.getheader("X-Memfis"), body, time.monotonic() - begun]))
"""

_FIGURES = """
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(b"GET /metrics HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
print(client.makefile().read())
"""


@dataclass(frozen=True)
class Answer:
    status: int
    source: str  # HIT or FALLBACK
    body: str
    seconds: float


def host(name):
    return container(name)


def fetch(name, path="/"):
    done = host(name).run("python3 -c %s %s", _FETCH, path)
    assert done.rc == 0, done.stderr
    return Answer(*json.loads(done.stdout))


def eventually(ask, seconds=20):
    end = time.monotonic() + seconds
    while not (found := ask()) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def put(name, path, text):
    host(name).check_output("printf %%s %s > %s.new && mv %s.new %s", text, path, path, path)


@pytest.mark.parametrize("name", WEB)
def test_services_run_now_and_at_boot(name):
    for unit in ("nginx.service", "memfis-gateway.socket", "memfis-gateway.service"):
        service = host(name).service(unit)
        assert service.is_running, unit
        assert service.is_enabled, unit
    assert host(name).check_output("systemctl --failed --no-legend --plain") == ""
    assert not host(name).package("memcached").is_installed


def fleet(name):
    return json.loads(host(name).run("memfis status --fleet --json").stdout)


def test_one_host_publishes_and_the_others_tell_it():
    for name in WEB:
        agent = host(name).service("memfis-agent")
        assert (agent.is_running, agent.is_enabled) == (True, True)
        assert eventually(lambda name=name: not fleet(name)["problems"]), fleet(name)
        assert [each["publishes"] for each in fleet(name)["hosts"]] == [True, False]
    refused = host(WEB[1]).run("memfis sync")
    assert refused.rc == 2
    assert f"{WEB[0]} fills the store" in refused.stderr


@pytest.mark.parametrize("at", [0, 1], ids=WEB)
def test_a_purge_at_one_host_holds_at_both(at):
    key = "memfis://pages.example.org/ghost"
    send = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        " s.sendall(sys.argv[2].encode().decode('unicode_escape').encode());"
        " print(s.recv(200).decode())"
    )
    path = "/run/memfis-gateway/gateway.sock"
    command = f"set {key} 0 0 5\\r\\nghost\\r\\n"
    assert host(WEB[0]).check_output("python3 -c %s %s %s", send, path, command) == "STORED"
    for name in WEB:
        assert eventually(lambda name=name: fetch(name, "/ghost").body == "ghost")
    host(WEB[at]).check_output("memfis purge /ghost")
    time.sleep(1)
    for name in WEB:
        assert fetch(name, "/ghost").status == 404


def test_only_that_host_writes():
    send = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        " s.sendall(b'set x 0 1 1\\r\\nx\\r\\n'); print(s.recv(200).decode())"
    )
    path = "/run/memfis-gateway/gateway.sock"
    said = [host(name).check_output("python3 -c %s %s", send, path) for name in WEB]
    assert said[0].strip() == "STORED"
    assert said[1].startswith("CLIENT_ERROR this gateway is read-only")
    refused = send.replace("set x 0 1 1\\r\\nx", "md memfis-site://pages.example.org")
    said = host(WEB[1]).check_output("python3 -c %s %s", refused, path)
    assert said.startswith("CLIENT_ERROR this gateway is read-only")


@pytest.mark.parametrize("name", WEB)
@pytest.mark.parametrize(
    ("path", "user", "group", "mode"),
    [
        ("/etc/memfis-gateway", "root", "memfis-gateway", 0o750),
        ("/etc/memfis-gateway/gateway.toml", "root", "memfis-gateway", 0o640),
        ("/etc/memfis-gateway/password", "memfis-gateway", "memfis-gateway", 0o600),
        ("/run/memfis-gateway/gateway.sock", "memfis", "www-data", 0o660),
    ],
)
def test_owners_and_modes(name, path, user, group, mode):
    found = host(name).file(path)
    assert (found.user, found.group, oct(found.mode)) == (user, group, oct(mode))


@pytest.mark.parametrize(
    ("user", "allowed"), [("www-data", True), ("memfis", True), ("nobody", False)]
)
def test_who_may_use_the_gateway(user, allowed):
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    socket = "/run/memfis-gateway/gateway.sock"
    done = host(WEB[0]).run("runuser -u %s -- python3 -c %s %s", user, connect, socket)
    assert (done.rc == 0) is allowed, done.stderr


@pytest.mark.parametrize("name", WEB)
def test_the_password_is_nowhere_else(name):
    lines = host(name).check_output("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")
    assert "memfis gateway" in lines.replace("/opt/memfis/agent/bin/", "")
    assert "battery-staple" not in lines
    assert "battery-staple" not in host(name).check_output("journalctl --no-pager --output=cat")
    found = host(name).run("grep -rl battery-staple /etc /opt/memfis /var/lib/memfis")
    assert found.stdout.split() == ["/etc/memfis-gateway/password"]


@pytest.mark.parametrize("name", WEB)
def test_pages_come_from_the_store(name):
    answer = eventually(lambda: (found := fetch(name)).source == "HIT" and found)
    assert answer
    assert answer.status == 200


def test_a_change_is_seen_on_the_other_host():
    for text in ("first", "second"):
        put(WEB[0], "/srv/www/pages/news.html", text)
        assert eventually(lambda text=text: fetch(WEB[0], "/news.html").body == text)
        assert eventually(lambda: fetch(WEB[0], "/news.html").source == "HIT")
        # The other host has no such file: it can only be from the store.
        begun = time.monotonic()
        assert eventually(lambda text=text: fetch(WEB[1], "/news.html").body == text, 10)
        took = time.monotonic() - begun
        assert fetch(WEB[1], "/news.html").source == "HIT"
        # hot_ttl and a second, and a second for each look through the engine.
        assert took < HOT_TTL + 1 + 2, took


def test_a_removed_page_is_gone_on_the_other_host():
    put(WEB[0], "/srv/www/pages/passing.html", "soon gone")
    assert eventually(lambda: fetch(WEB[1], "/passing.html").status == 200)
    host(WEB[0]).check_output("rm /srv/www/pages/passing.html")
    assert eventually(lambda: fetch(WEB[1], "/passing.html").status == 404)


@pytest.mark.parametrize("name", WEB)
def test_figures_for_prometheus(name):
    path = "/run/memfis-gateway/metrics.sock"
    found = host(name).file(path)
    assert (found.user, found.group, oct(found.mode)) == ("memfis", "www-data", "0o660")
    said = host(name).check_output("python3 -c %s %s", _FIGURES, path)
    assert 'memfis_gateway_hits_total{tier="hot"}' in said


@pytest.mark.skipif(
    bool(os.environ.get("MEMFIS_COUCHBASE_CONNECTION")), reason="a real cluster is not frozen"
)
def test_a_frozen_store_costs_nobody_a_page():
    store = host("store.memfis-couchbase")
    assert eventually(lambda: all(fetch(name).source == "HIT" for name in WEB))
    store.check_output("systemctl kill --signal=STOP couchbase-mock.service")
    try:
        time.sleep(HOT_TTL + 1)
        for _ in range(5):
            for name in WEB:
                answer = fetch(name)
                assert (answer.status, answer.source) == (200, "FALLBACK")
                assert answer.seconds < 1
    finally:
        store.check_output("systemctl kill --signal=CONT couchbase-mock.service")
    assert eventually(lambda: all(fetch(name).source == "HIT" for name in WEB), 30)


def test_a_gateway_that_is_restarted_loses_no_request():
    done = host(WEB[0]).run(
        "systemctl restart --no-block memfis-gateway;"
        " for i in $(seq 40); do python3 -c %s / || exit 1; done",
        _FETCH,
    )
    assert done.rc == 0
    statuses = {json.loads(line)[0] for line in done.stdout.splitlines()}
    assert statuses == {200}
