"""`memfis off` and `memfis on`: nginx stops asking memory, at once and with no request lost."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import CompletedProcess

import pytest

from support.agent import toml
from support.command import environment, memfis
from support.http import Answer
from support.memcached import Memcached
from support.nginx import Site, Web
from support.php import PhpFpm, asked, site_with
from support.process import wait_for

TARGETS = ("/", "/docs/", "/docs/page.html")
POISON = b"<p>a wrong page</p>"


class Host:
    """A web, and its commands; without an agent."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.off_file = web.directory / "memfis-off" / "site.example.conf"
        self.config = web.directory / "memfis.toml"

    def memfis(self, *arguments: str) -> "CompletedProcess[str]":
        conf = os.fspath(self.web.directory / "nginx.conf")
        env = environment() | {"MEMFIS_NGINX_CONF": conf, "MEMFIS_CONFIG": os.fspath(self.config)}
        return memfis(*arguments, env=env)

    def write_settings(self) -> None:
        sites = [
            {
                "name": site.name,
                **({"source": "store"} if site.stored else {"root": os.fspath(site.root)}),
                **({} if site.in_memory else {"from_memory": "off"}),
            }
            for site in self.web.sites
        ]
        store = f"memcached://{self.web.store.address.removeprefix('unix:')}"
        self.config.write_text(toml({"store": store}, sites))


@pytest.fixture
def host(web: Web) -> Host:
    return Host(web)


def poisoned(web: Web) -> Site:
    """Return a site of whose pages memory has wrong ones."""
    site = web.site()
    for target in TARGETS:
        site.write(f"{target[1:]}index.html" if target.endswith("/") else target[1:], b"disk")
    web.start(workers=2)
    for target in TARGETS:
        site.put(target, POISON)
    return site


@contextmanager
def visitors(site: Site) -> Iterator[list[tuple[str, Answer]]]:
    """Ask all the time, and collect the answers: one that fails ends the test."""
    answers: list[tuple[str, Answer]] = []
    failed: list[Exception] = []
    done = threading.Event()

    def visit() -> None:
        try:
            while not done.is_set():
                for target in TARGETS:
                    answers.append((target, site.get(target)))
        except Exception as error:  # told below, in the test's own thread
            failed.append(error)

    threads = [threading.Thread(target=visit) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not failed


def test_after_off_nobody_gets_what_memory_has_and_no_request_fails(host: Host) -> None:
    site = poisoned(host.web)
    host.write_settings()
    with visitors(site) as answers:
        wait_for(lambda: len(answers) > 20, "visitors")
        done = host.memfis("off", "site.example")
        assert (done.returncode, done.stderr) == (0, "")
        for target in TARGETS * 5:
            answer = site.get(target)
            assert (answer.body, answer.source) == (b"disk", "FALLBACK")
        done = host.memfis("on", "http://site.example/docs/")
        assert (done.returncode, done.stdout) == (0, "site.example: answered from memory\n")
        for target in TARGETS * 5:
            assert site.get(target).source == "HIT"
    assert {answer.status for _, answer in answers} == {200}
    assert {answer.body for _, answer in answers} == {b"disk", POISON}
    assert not host.off_file.exists()


@pytest.mark.parametrize("away", ["frozen", "ended"])
def test_off_needs_no_store(host: Host, away: str) -> None:
    site = poisoned(host.web)
    store: Memcached = host.web.store
    if away == "frozen":
        store.freeze()
    else:
        store.end()
    try:
        assert host.memfis("off", "site.example").returncode == 0
        assert site.get("/docs/page.html").body == b"disk"
    finally:
        if away == "frozen":
            store.thaw()


def test_it_stays_off_whatever_is_started_anew_and_is_told_everywhere(host: Host) -> None:
    site = poisoned(host.web)
    host.write_settings()
    document = json.loads(host.memfis("off", "site.example", "--json").stdout)["sites"][0]
    assert (document["changed"], document["nginx_runs"]) == (True, True)
    since = document["off_since"]
    host.web.nginx.end()
    again = json.loads(host.memfis("off", "site.example", "--json").stdout)["sites"][0]
    assert again == document | {"changed": False, "nginx_runs": False}
    host.web.nginx.start()
    assert site.get("/").body == b"disk"
    [found] = json.loads(host.memfis("status", "--json").stdout)["sites"]
    assert found["off_since"] == since
    for command in ("verify", "doctor"):
        done = host.memfis(command)
        assert "'memfis on site.example'" in done.stdout + done.stderr, command
    done = host.memfis("on", "-n", "site.example")
    assert "dry run, nothing changed" in done.stdout
    assert site.get("/").body == b"disk"


def test_where_nginx_refuses_all_is_as_before(host: Host) -> None:
    site = poisoned(host.web)
    assert host.memfis("off", "site.example").returncode == 0
    before = host.off_file.read_text()
    broken = host.web.directory / "sites.conf"
    right = broken.read_text()
    broken.write_text(right + "what is this;\n")
    for command in ("on", "off"):
        done = host.memfis(command, "site.example")
        assert done.returncode == 2
        assert 'unknown directive "what"' in done.stderr
        assert done.stderr.count("\n") == 1
    assert host.off_file.read_text() == before
    assert site.get("/").body == b"disk"
    # Found out only by reading what was written.
    broken.write_text(right)
    assert host.memfis("on", "site.example").returncode == 0
    host.off_file.parent.joinpath("site.example.conf").unlink(missing_ok=True)
    broken.write_text(f'{right}include "{host.off_file.parent}/*.conf";\n')
    done = host.memfis("off", "site.example")
    assert (done.returncode, "[emerg]" in done.stderr) == (2, True)
    assert not host.off_file.exists()
    assert site.get("/").source == "HIT"


def test_what_cannot_be_switched_is_refused_in_one_line(host: Host) -> None:
    host.web.site("stored.example", source="store")
    host.web.site("plain.example", from_memory="off")
    poisoned(host.web)
    host.write_settings()
    for name, why in {
        "stored.example": "its source is the store",
        "plain.example": 'has from_memory = "off"',
        "other.example": "nginx has no such site with a switch (it has: site.example)",
    }.items():
        done = host.memfis("off", name)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert why in done.stderr
    closed = host.web.directory / "closed"
    closed.mkdir(mode=0o555)
    env = environment(MEMFIS_NGINX_CONF=os.fspath(closed / "nginx.conf"))
    done = memfis("off", "site.example", powerless=True, env=env)
    said = f"memfis: {closed}: only root may switch sites: use sudo\n"
    assert (done.returncode, done.stderr) == (2, said)


def test_off_every_answer_is_phps_own(host: Host, php: PhpFpm) -> None:
    site = site_with(host.web, php)
    site.put("/hello", POISON)
    assert site.get("/hello").body == POISON
    assert host.memfis("off", "site.example").returncode == 0
    before = len(asked(site))
    for _ in range(5):
        found = json.loads(site.get("/hello", headers={"User-Agent": "me"}).body)
        assert found["shared"] is None
    assert len(asked(site)) == before + 5, "one answer was given twice"
