"""`memfis check` asks a real nginx for the sites of a configuration, as visitors do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.command import memfis, memfis_json
from support.memcached import Memcached
from support.nginx import Nginx
from support.nginx import Site as Served
from support.ports import free_port
from support.tls import Certificate

from .conftest import Filled


class Host:
    """An nginx with the site of `filled`, and its memfis.toml."""

    def __init__(self, filled: Filled, memcached: Memcached, directory: Path) -> None:
        self.port, self.directory, self.filled = free_port(), directory, filled
        self.memcached = memcached
        self.nginx: Nginx
        self.lines = ""

    def start(self, *, more: str = "", toml: str = "", **settings: Any) -> None:
        """Start nginx; `more`: what else is at http level, `toml`: more of the site's table."""
        site = self.filled.site
        given = {"listen": [f"127.0.0.1:{self.port}"], "root": site.root, **settings}
        given["listen"] = [*given["listen"], f"unix:{self.directory}/{site.name}.public"]
        self.site = Served(self.directory, self.memcached, site.name, **given)
        self.nginx = Nginx(self.directory, self.site, more=more, patient=True)
        self.nginx.start()
        where = f'origin = "{self.site.origin}"\nroot = "{site.root}"'
        if self.site.stored:
            where = 'source = "store"'
        (self.directory / "memfis.toml").write_text(
            f'runtime_directory = "{self.directory}/run"\n[[sites]]\nname = "{site.name}"\n'
            f'store = "{site.store}"\n{where}\n{toml}'
        )

    @property
    def flags(self) -> tuple[str | Path, ...]:
        """The command line's."""
        return (
            "--config",
            self.directory / "memfis.toml",
            "--nginx",
            self.directory / "nginx.conf",
        )

    def check(self) -> dict[str, Any]:
        """Return what is found of the site."""
        [site] = memfis_json("check", *self.flags)["sites"]
        found: dict[str, Any] = site
        return found

    def problem(self) -> str:
        """Return the one that is found, after the command has said so by its exit code."""
        done = memfis("check", *self.flags, "--json")
        assert done.returncode == 1
        [site] = json.loads(done.stdout)["sites"]
        [problem] = site["problems"]
        return str(problem)


@pytest.fixture
def host(filled: Filled, memcached: Memcached, directory: Path) -> Iterator[Host]:
    host = Host(filled, memcached, directory)
    yield host
    host.nginx.end()


def test_everywhere_that_a_site_listens(host: Host, directory: Path) -> None:
    host.filled.sync()
    tls, behind = free_port(), free_port()
    host.start(
        server_names=["site.example", "*.site.example", "~^x"],
        listen=[f"127.0.0.1:{host.port}", f"127.0.0.1:{behind} proxy_protocol", f"{host.port + 1}"],
        tls={
            **Certificate(directory).settings,
            "listen": [f"127.0.0.1:{tls}"],
            "redirect": False,
        },
    )
    found = host.check()
    assert found["problems"] == []
    assert found["url"] == f"https://site.example:{tls}/"
    assert (found["served_by"], found["pages"]) == ("HIT", 3)
    assert found["from_memory"] == "memcached_pass"
    asked = {(each["url"], each["at"]) for each in found["answers"]}
    for name in ("site.example", "memfis-check.site.example"):
        assert (f"http://{name}:{host.port}/", f"127.0.0.1:{host.port}") in asked
        assert (f"http://{name}:{behind}/", f"127.0.0.1:{behind}") in asked
        assert (f"https://{name}:{tls}/", f"127.0.0.1:{tls}") in asked
        assert (f"http://{name}/", f"unix:{directory}/site.example.public") in asked
    assert all(each["status"] == 200 and each["served_by"] == "HIT" for each in found["answers"])


def test_answers_like_others(host: Host, directory: Path) -> None:
    host.filled.sync()
    tls = free_port()
    host.start(
        extra="allow 192.0.2.1; deny all;",
        tls={**Certificate(directory).settings, "listen": [f"127.0.0.1:{tls}"], "redirect": True},
    )
    found = host.check()
    assert found["problems"] == []
    statuses = {each["url"].partition(":")[0]: each["status"] for each in found["answers"]}
    assert statuses == {"http": 301, "https": 403}


def test_a_page_that_is_not_in_memory_on_purpose(host: Host) -> None:
    host.filled.sync()
    host.start(toml='exclude = ["*"]\n')
    host.filled.store.delete_many([b"memfis://site.example/"])
    found = host.check()
    assert (found["problems"], found["served_by"]) == ([], "FALLBACK")
    assert "excluded" in found["why"]


def test_a_first_sync_that_is_not_done(host: Host) -> None:
    host.start()
    found = host.check()
    assert (found["problems"], found["served_by"]) == ([], "FALLBACK")
    assert found["why"] == "the agent is still at work"


def test_without_a_header(host: Host) -> None:
    host.filled.sync()
    host.start(header="")
    assert host.check()["served_by"] == "HIT"
    host.filled.store.delete_many([b"memfis://site.example/"])
    found = host.check()
    assert (found["problems"], found["served_by"]) == ([], "FALLBACK")
    assert found["why"] == "it was there, and the store has let it go"


def test_without_a_header_nothing_tells_where_lua_answers_from(host: Host) -> None:
    """Both say validators: it is no trouble that is found."""
    host.start(header="", from_memory="lua", toml='from_memory = "lua"\n')
    assert memfis("sync", *host.flags[:2]).returncode == 0
    found = host.check()
    assert (found["problems"], found["status"], found["served_by"]) == ([], 200, "")


def test_a_site_without_a_disk(host: Host) -> None:
    host.start(source="store")
    found = host.check()
    assert (found["problems"], found["status"], found["pages"]) == ([], 404, 0)


def test_another_server_has_the_name(host: Host, directory: Path) -> None:
    host.filled.sync()
    other = directory / "other.conf"
    host.start()
    other.write_text(
        f"server {{ listen 127.0.0.1:{host.port}; server_name site.example; return 200 other; }}"
    )
    sites = directory / "sites.conf"
    sites.write_text(f"include {other};\n{sites.read_text()}")
    assert f"at 127.0.0.1:{host.port} is answered by {other}, not by {directory}" in host.problem()


def test_nginx_does_not_read_the_site(host: Host, directory: Path) -> None:
    host.start()
    (directory / "sites.conf").write_text("")
    assert f"nginx does not read the site's file: {directory}/nginx.conf includes" in host.problem()


def test_nothing_listens(host: Host) -> None:
    host.filled.sync()
    host.start()
    host.nginx.end()
    done = memfis("check", *host.flags)
    assert done.returncode == 1
    assert f"nothing listens at 127.0.0.1:{host.port}" in done.stdout


def test_the_store_is_away(host: Host) -> None:
    host.filled.sync()
    host.start()
    host.memcached.end()
    assert host.problem().startswith("the store does not answer: ")


def test_another_page_than_the_disk_has(host: Host) -> None:
    host.filled.sync()
    host.start()
    host.filled.lie("index.html", b"an old page")
    tcp, socket = host.check()["problems"]
    where = f"http://site.example:{host.port}/ at 127.0.0.1:{host.port}"
    assert tcp == f"{where}: another page than the disk has"
    assert socket.endswith("site.example.public: another page than the disk has")


def test_nginx_runs_as_another_user(host: Host) -> None:
    host.filled.sync()
    host.start(toml='reader = "daemon"\n')
    configuration = host.directory / "nginx.conf"
    text = configuration.read_text()
    if "user " not in text:
        configuration.write_text(f"user nobody;\n{text}")
    assert "and memfis publishes what daemon may read" in host.problem()


def test_what_nginx_does_not_take(host: Host, directory: Path) -> None:
    host.start()
    (directory / "sites.conf").write_text("nonsense;")
    done = memfis("check", *host.flags)
    assert done.returncode == 2
    assert "nginx does not take its configuration" in done.stderr
    assert 'unknown directive "nonsense"' in done.stderr
