"""nginx, the agent and the mount work on a gateway as on a memcached."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGUSR2

import pytest

from memfis.layout.keys import page_key
from support.agent import Agent
from support.command import memfis
from support.couchbase_mock import CouchbaseMock, environment
from support.directory import reachable_directory
from support.gateway import Gateway
from support.gocaves import mock_under_test
from support.mount import mounted
from support.nginx import Nginx, Site
from support.process import wait_for
from support.raw import Raw

SITE = "site.example"


@pytest.fixture
def directory() -> Iterator[Path]:
    with reachable_directory() as directory:
        yield directory


@pytest.fixture
def mock(directory: Path) -> Iterator[CouchbaseMock]:
    mock = mock_under_test(directory)
    mock.start()
    yield mock
    mock.close()


@pytest.fixture(params=["memory", "couchbase"])
def gateway(request: pytest.FixtureRequest, directory: Path) -> Iterator[Gateway]:
    mock = request.getfixturevalue("mock") if request.param == "couchbase" else None
    gateway = Gateway(directory, mock)
    gateway.start()
    yield gateway
    gateway.end()
    assert "Traceback" not in gateway.log.read_text()


def test_too_slow_for_visitors_is_not_away_for_a_sync(directory: Path) -> None:
    gateway = Gateway(directory, slow=0.5, timeout=0.4, write_timeout=20.0)
    gateway.start()
    root = directory / "slow"
    root.mkdir()
    (root / "index.html").write_bytes(b"front page")
    try:
        gateway.signal(SIGUSR2)
        with Raw(gateway.socket) as visitor:
            for _ in range(3):
                assert visitor.ask(b"get k\r\n").startswith(b"SERVER_ERROR ")
            assert visitor.ask(b"get k\r\n").startswith(b"SERVER_ERROR Couchbase is away")
            flags = ("--root", root, "--name", SITE, "--store", f"memcached://{gateway.socket}")
            done = memfis("sync", *flags)
            assert done.returncode == 0, done.stderr
            figures = gateway.stats()
            assert figures[b"breaker"] == b"open"
            assert (figures[b"patient_breaker"], figures[b"patient_breaker_opened"]) == (
                b"closed",
                0,
            )
            gateway.signal(SIGUSR2)
            wait_for(lambda: gateway.stats()[b"breaker"] == b"closed", "the breaker to close")
            page = visitor.ask(b"get %b\r\n" % page_key(SITE, b"/"))
            assert page.startswith(b"VALUE ")
    finally:
        gateway.end()


def fill(root: Path) -> dict[str, bytes]:
    """Make a web root; return its files by path."""
    files = {f"d{n % 7}/page{n}.html": f"<p>{n}</p>".encode() * n for n in range(1, 120)}
    files |= {
        "index.html": b"front page",
        "d1/gr\xfc\xdf.html": b"x",
        "noise.bin": os.urandom(9000),
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return files


def test_sync_verify_and_a_second_site(directory: Path, gateway: Gateway) -> None:
    for site in (SITE, "other.example"):  # in one bucket: the second finds items that it knows not
        root = directory / site
        files = fill(root)
        flags = ("--root", root, "--name", site, "--store", f"memcached://{gateway.socket}")
        done = memfis("sync", *flags)
        assert (done.returncode, f"{len(files)} pages" in done.stdout) == (0, True), done
    (root / "index.html").write_text("another")
    (root / "noise.bin").unlink()
    assert memfis("sync", *flags).returncode == 0
    done = memfis("verify", *flags)
    assert done.returncode == 0, done
    assert memfis("cat", "/", *flags).stdout == "another"
    assert memfis("status", *flags).returncode == 0


def test_the_agent_keeps_a_site_and_nginx_serves_it(directory: Path, gateway: Gateway) -> None:
    site = Site(directory, gateway, SITE)
    files = fill(site.root)
    agent = Agent(
        directory,
        {"store": f"memcached://{gateway.socket}"},
        [{"name": SITE, "root": str(site.root)}],
    )
    nginx = Nginx(directory, site, patient=True)
    try:
        agent.start()
        nginx.start()
        for name in ("d3/page3.html", "noise.bin"):
            answer = site.get(f"/{name}")
            assert (answer.status, answer.source, answer.body) == (200, "HIT", files[name])
        assert site.get("/never.html").status == 404
        site.write("d3/page3.html", b"changed")
        wait_for(lambda: site.get("/d3/page3.html").body == b"changed", "the change")
        assert site.get("/d3/page3.html").source == "HIT"
        (site.root / "d3" / "page3.html").unlink()
        wait_for(lambda: site.get("/d3/page3.html").status == 404, "the removal")
        with Raw(gateway.socket) as client:  # of 7 days; and known, so not renewed all the time
            found = client.ask(b"mg %b t u\r\n" % page_key(SITE, b"/noise.bin"))
            assert 604000 < int(found[4:-2]) <= 604800
    finally:
        nginx.end()
        agent.end()


def appends(gateway: Gateway) -> int:
    """Return how many appends the gateway has put to the database."""
    figures = gateway.figures()
    return int(figures.get('memfis_gateway_couchbase_seconds_count{operation="extend"}', 0))


def test_changes_of_a_directory_travel_in_batches(directory: Path) -> None:
    gateway = Gateway(directory, metrics=f"unix:{directory}/metrics.sock")
    root = directory / SITE
    fill(root)
    agent = Agent(
        directory,
        {"store": f"memcached://{gateway.socket}"},
        [{"name": SITE, "root": os.fspath(root)}],
    )
    gateway.start()
    try:
        agent.start()
        before, started = appends(gateway), time.monotonic()
        for number in range(30):  # for three seconds
            (root / "d1" / f"new{number}.html").write_text(f"{number}")
            time.sleep(0.1)
        with Raw(gateway.socket) as client:
            last = b"mg %b u\r\n" % page_key(SITE, b"/d1/new29.html")
            wait_for(lambda: client.ask(last) == b"HD\r\n", "the last page")
        # Two an append: some files are found while they are still open.
        assert 2 <= appends(gateway) - before <= (time.monotonic() - started) + 1
    finally:
        agent.end()
        gateway.end()


@pytest.mark.skipif(not os.access("/dev/fuse", os.R_OK | os.W_OK), reason="needs /dev/fuse")
def test_a_mount_of_a_site_that_is_only_in_the_store(directory: Path, gateway: Gateway) -> None:
    with mounted(directory, gateway.socket) as mount:
        files = fill(mount.path)
        (mount.path / "d1").rename(mount.path / "renamed")
        (mount.path / "large.bin").write_bytes(bytes(range(256)) * 20_000)
    with mounted(directory, gateway.socket, name="again") as mount:
        for name, content in files.items():
            assert (mount.path / name.replace("d1/", "renamed/")).read_bytes() == content
        assert (mount.path / "large.bin").read_bytes() == bytes(range(256)) * 20_000
        assert sorted(os.listdir(mount.path)) == sorted(
            {"renamed", "large.bin", *(name.split("/")[0] for name in files)} - {"d1"}
        )


def test_sockets_that_systemd_listens_at_lose_no_request_at_a_restart(directory: Path) -> None:
    path = directory / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        listener.listen(100)
        gateway = Gateway(directory)
        # As systemd does it (sd_listen_fds(3)): descriptor 3, and the process's own number.
        start = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True);"
            "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'};"
            "os.execv(sys.argv[2], sys.argv[2:])"
        )
        command = [sys.executable, "-c", start, str(listener.fileno()), *gateway.command]
        for number in range(3):
            waiting = Raw(path)  # before it is there
            waiting.send(b"set k 0 0 1\r\n%d\r\nget k\r\nmn\r\n" % number)
            with subprocess.Popen(
                command, env=environment(), pass_fds=(listener.fileno(),)
            ) as process:
                assert (
                    waiting.until(b"MN\r\n") == b"STORED\r\nVALUE k 0 1\r\n%d\r\nEND\r\n" % number
                )
                waiting.socket.close()
                process.terminate()
                assert process.wait(20) == 0
            assert path.exists()  # it is systemd's


def test_systemd_listens_for_prometheus_too(directory: Path) -> None:
    paths = [directory / "gateway.sock", directory / "metrics.sock"]
    gateway = Gateway(directory, metrics=f"unix:{paths[1]}")
    listeners = [socket.socket(socket.AF_UNIX) for _ in paths]
    for listener, path in zip(listeners, paths, strict=True):
        listener.bind(os.fspath(path))
        listener.listen(100)
    start = (
        "import os, sys;"
        "[os.dup2(int(each), 9 + n) for n, each in enumerate(sys.argv[1:3])];"
        "[os.dup2(9 + n, 3 + n) and os.set_inheritable(3 + n, True) for n in range(2)];"
        "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '2'};"
        "os.execv(sys.argv[3], sys.argv[3:])"
    )
    numbers = [listener.fileno() for listener in listeners]
    command = [sys.executable, "-c", start, *map(str, numbers), *gateway.command]
    with subprocess.Popen(command, env=environment(), pass_fds=numbers) as process:
        with Raw(paths[0]) as client:
            assert client.ask(b"get k\r\n") == b"END\r\n"
        assert gateway.figures()["memfis_gateway_misses_total"] == 1.0
        process.terminate()
        assert process.wait(20) == 0
    assert paths[1].exists()  # it is systemd's
    for listener in listeners:
        listener.close()


def test_a_port_for_prometheus_that_is_taken_stops_nothing(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        gateway = Gateway(directory, metrics=address)
        gateway.start()
        with Raw(gateway.socket) as client:
            assert client.ask(b"set k 0 0 1\r\nx\r\n") == b"STORED\r\n"
        said = f"metrics {address}: {address}: Address already in use"
        assert said in gateway.log.read_text()
    try:
        wait_for(lambda: listens(address), "another try")
        assert gateway.figures()["memfis_gateway_breaker_open"] == 0
        assert gateway.log.read_text().count("already in use") == 1
    finally:
        gateway.end()


def listens(address: str) -> bool:
    """Whether somebody accepts connections there."""
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0
