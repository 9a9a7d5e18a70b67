"""Settings of a site with PHP: several in one nginx, odd names, and everything left out."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from support.http import Connection
from support.nginx import Web, render
from support.php import FRONT, PhpFpm, asked, settings, site_with
from support.ports import free_port
from support.tls import Certificate

LONG = "documentation.internal.example-company.co.uk"


def lines(web: Web, php: PhpFpm, trim: bool, **changes: Any) -> list[str]:
    """Return the configuration of a site that has everything, without empty lines."""
    site = web.site("a.example", php=settings(web.directory, php, **changes))
    more = {
        "name": LONG,
        "tls": {"listen": ["443"], "certificate": "/c", "certificate_key": "/k", "redirect": True},
        "error_pages": [{"codes": [404], "uri": "/404.php"}, {"codes": [502], "uri": "/502.html"}],
        "headers": {"X": "$", "Cache-Control": "public"},
        "index": ["index.php", "index.html", "other.php"],
    }
    text = render("site.conf.j2", trim_blocks=trim, site={**site.settings, **more})
    return [line for line in text.splitlines() if line]


def test_result_is_the_same_however_jinja_is_set(web: Web, php: PhpFpm) -> None:
    sockets = {"hints": "/run/h.sock", "purge": "/run/p.sock", "backends": ["10.0.0.1:9000"]}
    ansible, plain = (lines(web, php, trim, **sockets) for trim in (True, False))
    assert ansible == plain
    variables = set(re.findall(r"\$\{?(memfis_\w+)", "\n".join(ansible)))
    assert all(len(variable) <= 46 for variable in variables)
    used = [line for line in ansible if "fastcgi_keep_conn on" in line]
    assert used, "over TCP connections are kept"


def test_sites_in_one_nginx_do_not_meet(web: Web, php: PhpFpm) -> None:
    sites = []
    for name in (LONG, LONG.replace("uk", "nz"), "a-b.c", "a.b-c"):
        own = settings(
            web.directory, php, microcache=os.fspath(web.directory / f"{name}.microcache")
        )
        site = web.site(name, index=["index.php"], php={**own, "canonical": f"https://{name}"})
        site.write("index.php", FRONT)
        sites.append(site)
    web.start()
    for site in sites:
        found = json.loads(site.get("/page").body)
        assert found["host"] == site.name
        assert json.loads(site.get("/page").body)["token"] == found["token"]


@pytest.mark.parametrize("name", ["with $uri", 'with "quotes"', "ünïcode", "back\\slash"])
def test_root_of_any_name(web: Web, php: PhpFpm, name: str) -> None:
    site = site_with(web, php, root=os.fspath(web.directory / name))
    site.write("blog/index.php", FRONT)
    site.write("disk.txt", b"disk")
    for target in ("/", "/hello", "/blog/", "/blog/index.php"):
        for answer in (site.get(target), site.get_origin(target)):
            assert answer.status == 200, target
            assert json.loads(answer.body)["script"].endswith("index.php")
    assert site.get("/disk.txt").body == b"disk"


def test_with_everything_left_out(web: Web, php: PhpFpm) -> None:
    nothing: dict[str, Any] = {
        **{"uploads": [], "cookies": [], "ignored_arguments": [], "purge_from": []},
        **{"microcache": "", "hints": "", "purge": ""},
    }
    site = site_with(web, php, own=nothing, header="", index=["index.html"])
    site.write("docs/index.html", b"docs")
    site.put("/kept", b"memory")
    assert site.get("/kept", headers={"Cookie": "PHPSESSID=1"}).body == b"memory"
    assert site.get("/docs/").body == b"docs"
    first, second = (json.loads(site.get("/page").body)["token"] for _ in range(2))
    assert first != second
    assert json.loads(site.get("/page?utm_source=x").body)["query"] == "utm_source=x"
    assert json.loads(site.get("/page", "PURGE").body)["method"] == "PURGE"
    assert site.get("/").status == 403, "a directory without an index of the list"


def test_no_script_over_plain_http_that_is_redirected(
    web: Web, php: PhpFpm, directory: Path
) -> None:
    port = free_port()
    tls = {
        **{"listen": [f"127.0.0.1:{port}"], "redirect": True},
        **Certificate(directory).settings,
    }
    site = site_with(web, php, tls=tls)
    site.write(".well-known/acme-challenge/x.php", FRONT)
    site.write(".well-known/acme-challenge/token", b"token")
    assert site.get("/.well-known/acme-challenge/token").body == b"token"
    answer = site.get("/.well-known/acme-challenge/x.php")
    assert (answer.status, b"<?" in answer.body) == (404, False)
    for target in ("/", "/index.php", "/hello"):
        answer = site.get(target)
        assert answer.status == 301
        assert answer.header("Location") == f"https://site.example:{port}{target}"
    assert asked(site) == []


def test_backends_over_tcp(web: Web, php: PhpFpm, directory: Path) -> None:
    """One is not there: nobody notices."""
    port, nobody = free_port(), free_port()
    other = PhpFpm(directory, "tcp", listen=f"127.0.0.1:{port}")
    other.start()
    try:
        backends = [f"127.0.0.1:{nobody}", other.backend]
        site = site_with(web, php, own={"backends": backends, "microcache": ""})
        for number in range(40):
            answer = site.get(f"/{number}", "POST" if number % 2 else "GET", body=b"x")
            assert answer.status == 200
            assert json.loads(answer.body)["uri"] == f"/{number}"
    finally:
        other.end()
    with Connection(site.public) as connection:
        assert connection.ask("/x").status == 502
