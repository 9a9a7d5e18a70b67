"""What the agent tells Prometheus, over HTTP at a unix socket or a loopback port."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from integration.conftest import Agents, Filled
from memfis.layout.keys import directory_key
from memfis.service.listening import RETRY
from support.agent import Agent
from support.command import memfis, memfis_json
from support.memcached import Memcached
from support.ports import free_port
from support.process import PATIENCE, wait_for

Samples = dict[tuple[str, ...], float]


class Scrape:
    """Asks an agent for its figures."""

    def __init__(self, address: str) -> None:
        self.socket = address.removeprefix("unix:") if address.startswith("unix:") else None
        self.port = 0 if self.socket else int(address.rpartition(":")[2])
        transport = httpx.HTTPTransport(uds=self.socket) if self.socket else None
        base = f"http://127.0.0.1:{self.port}" if self.port else "http://localhost"
        self.http = httpx.Client(transport=transport, base_url=base, timeout=PATIENCE)

    def connect(self) -> socket.socket:
        if self.port:
            return socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(str(self.socket))
        return connection

    def samples(self) -> Samples:
        """Return the figures by name and values of labels, in the order of the labels' names."""
        answer = self.http.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/plain")
        return {
            (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }


@pytest.fixture(params=["unix", "tcp"])
def scraped(
    request: pytest.FixtureRequest, directory: Path, new_agent: Agents
) -> Iterator[tuple[Agent, Scrape]]:
    unix = request.param == "unix"
    address = f"unix:{directory}/metrics.sock" if unix else f"127.0.0.1:{free_port()}"
    agent = new_agent(settings={"metrics": address})
    agent.start()
    scrape = Scrape(address)
    yield agent, scrape
    scrape.http.close()


def test_the_figures_are_those_of_status(scraped: tuple[Agent, Scrape], filled: Filled) -> None:
    agent, scrape = scraped
    site, store = "site.example", filled.site.store
    wait_for(lambda: scrape.samples()["memfis_store_up", store] == 1, "the store's figures")
    figures = scrape.samples()
    [status] = memfis_json("status", "--config", agent.config)["sites"]
    statistics = status["statistics"]
    assert figures["memfis_site_pages", site] == status["pages"] == 3
    assert figures["memfis_site_bytes", site] == status["bytes"]
    assert figures["memfis_site_syncs_total", site] == 1
    assert figures["memfis_site_pending_directories", site] == 0
    assert figures["memfis_site_watched_directories", site] == 2
    assert figures["memfis_site_last_sync_timestamp_seconds", site] == pytest.approx(
        status["last_sync"], abs=0.001
    )
    assert figures["memfis_site_last_sync_duration_seconds", site] > 0
    assert figures["memfis_store_limit_bytes", store] == statistics["limit"]
    assert figures["memfis_store_evictions_total", store] == statistics["evictions"] == 0
    # counted since the agent looked last
    assert 0 < figures["memfis_store_misses_total", store] <= statistics["misses"]
    assert figures["memfis_store_hits_total", store] <= statistics["hits"]
    items = "memfis_store_items", store
    wait_for(lambda: scrape.samples()[items] == statistics["items"], "the number of items")


def test_problems_are_counted_by_reason(scraped: tuple[Agent, Scrape], filled: Filled) -> None:
    _, scrape = scraped
    dangling = "memfis_site_problems", "dangling symbolic link", "site.example"
    key = "memfis_site_problems", "key too long", "site.example"
    for name in ("one", "two", "docs/three"):
        (filled.root / name).symlink_to("nowhere")
    for length in (240, 250):
        (filled.root / ("x" * length)).write_text("long")
    expected = {dangling: 3, key: 2}

    def counted() -> bool:
        samples = scrape.samples()
        return {each: samples.get(each) for each in expected} == expected

    wait_for(counted, "the problems")
    for name in ("one", "two", "docs/three"):
        (filled.root / name).unlink()
    wait_for(lambda: dangling not in scrape.samples(), "the problems to be gone")


def test_a_store_that_is_away_is_down(
    scraped: tuple[Agent, Scrape], filled: Filled, memcached: Memcached
) -> None:
    _, scrape = scraped
    up = "memfis_store_up", filled.site.store
    memcached.end()
    wait_for(lambda: scrape.samples()[up] == 0, "the store to be down")
    assert ("memfis_store_items", filled.site.store) not in scrape.samples()
    memcached.start()
    wait_for(lambda: scrape.samples()[up] == 1, "the store to be up")


def test_what_is_no_request_for_figures(scraped: tuple[Agent, Scrape]) -> None:
    _, scrape = scraped
    assert scrape.http.get("/").status_code == 200
    assert scrape.http.get("/metrics?x=y").status_code == 200
    assert scrape.http.get("/other").status_code == 404
    assert scrape.http.get("/metrics/").status_code == 404
    assert scrape.http.post("/metrics", content=b"x" * 1000).status_code == 405
    assert scrape.http.head("/metrics").status_code == 405


def test_clients_that_behave_badly_are_none_of_the_others_business(
    scraped: tuple[Agent, Scrape],
) -> None:
    agent, scrape = scraped
    with contextlib.ExitStack() as stack:
        slow = stack.enter_context(scrape.connect())
        slow.sendall(b"GET /metrics HTTP/1.1\r\n")  # and no more
        silent = stack.enter_context(scrape.connect())
        endless = stack.enter_context(scrape.connect())
        with contextlib.suppress(OSError):  # it hangs up at some time
            endless.sendall(b"GET /" + b"x" * 3_000_000)
        for junk in (b"\x00\xff\r\n\r\n", b"GET \r\n\r\n", b"\r\n\r\n", b"GET"):
            with scrape.connect() as other:
                other.sendall(junk)
                other.shutdown(socket.SHUT_WR)
                read_all(other)
        assert scrape.samples()["memfis_site_pages", "site.example"] == 3
        # it does not wait for ever
        assert read_all(slow) == b""
        assert read_all(silent) == b""
    assert agent.lines("rror") == []


def read_all(connection: socket.socket) -> bytes:
    """Return what comes until the other side hangs up."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(4096):
            parts.append(part)
    return b"".join(parts)


def test_without_the_setting_nobody_listens(agent: Agent) -> None:
    assert sorted(path.name for path in agent.runtime.iterdir()) == [
        "agent.sock",
        "site.example.lock",
    ]
    agent.end()
    assert [path.name for path in agent.runtime.iterdir()] == ["site.example.lock"]


def test_an_address_that_is_none(new_agent: Agents) -> None:
    agent = new_agent(settings={"metrics": "0.0.0.0:9180"})
    agent.configure()
    done = memfis("agent", "--config", agent.config)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert "metrics" in line
    assert "loopback" in line


def test_a_port_that_is_taken_stops_nothing_and_is_tried_again(
    new_agent: Agents, filled: Filled
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        agent = new_agent(settings={"metrics": address})
        agent.start()
        [line] = agent.lines(address)
        assert "Address already in use" in line
        (filled.root / "new.html").write_text("new")
        wait_for(lambda: filled.content(b"/new.html") == b"new", "the new page")
        said = f"agent: not listening, metrics {address}: {address}: Address already in use"
        assert said in memfis("status", "--config", agent.config).stdout
        # Tried again in vain, which is not said again.
        wait_for(lambda: waited(agent) >= 2, "some tries")
    scrape = Scrape(address)
    with scrape.http:
        agent.hears(address, "listening now")
        wait_for(lambda: scrape.samples()["memfis_site_pages", "site.example"] == 4, "figures")
    assert len(agent.lines("in use")) == 1
    assert "not listening" not in memfis("status", "--config", agent.config).stdout


def waited(agent: Agent) -> int:
    """Return for how many periods of tries it has run."""
    return int(time.time() - agent.config.stat().st_mtime) // int(RETRY)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("absent/metrics.sock", "No such file or directory"),
        ("file", "is there and no socket"),
        ("x" * 120, "AF_UNIX path too long"),
    ],
)
def test_a_socket_that_cannot_be_made_stops_nothing(
    new_agent: Agents, directory: Path, path: str, reason: str
) -> None:
    (directory / "file").touch()
    agent = new_agent(settings={"metrics": f"unix:{directory}/{path}"})
    agent.start()
    [line] = agent.lines(path)
    assert reason in line
    agent.end()
    assert (directory / "file").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give up a power")
def test_a_port_of_root_alone_stops_nothing(new_agent: Agents) -> None:
    powerless = ("setpriv", "--bounding-set=-net_bind_service")
    agent = new_agent(settings={"metrics": "127.0.0.1:81"}, prefix=powerless)
    agent.start()
    [line] = agent.lines("127.0.0.1:81")
    assert "Permission denied" in line


def test_the_records_are_not_counted_as_pages(
    scraped: tuple[Agent, Scrape], filled: Filled
) -> None:
    _, scrape = scraped
    (filled.root / "docs" / "new.html").write_text("new")
    pages = "memfis_site_pages", "site.example"
    wait_for(lambda: scrape.samples()[pages] == 4, "the new page")
    (filled.root / "docs" / "new.html").unlink()
    (filled.root / "docs" / "logo.png").unlink()
    wait_for(lambda: scrape.samples()[pages] == 2, "the deletions")
    assert filled.store.get(directory_key("site.example", b"/docs/")) is not None
