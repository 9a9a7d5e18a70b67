"""Every answer names its own request, and carries no other visitor's mark.

A stand-in application prints all that PHP is told. Visitors ask for random targets, several at
once, with cookies, headers and hosts of their own, of sites whose own lines rewrite, try and alias;
an agent renders what it hears of, so answers come from PHP, from nginx's cache of a second and from
memory. MEMFIS_REQUESTS says how many requests (20,000); a failure prints the shortest sequence.
"""

import base64
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memfis.layout.identity import page_of
from support.agent import Agent
from support.directory import reachable_directory
from support.http import Answer, Connection
from support.nginx import Site, Web
from support.php import PhpFpm
from support.php import settings as php_settings

REQUESTS = int(os.environ.get("MEMFIS_REQUESTS", "20000"))
AT_ONCE = 4
"""Requests of a batch, which are sent together."""

BATCHES = 5
"""Batches of a sequence at most."""

MEAN = 11
"""Requests of a sequence, which is sent twice, on average."""

PAUSE = 0.02
"""Seconds between the two, in which the agent renders what it has heard of."""

PRINT = rb"""<?php
$told = json_encode($_SERVER + ['body' => file_get_contents('php://input')],
    JSON_INVALID_UTF8_SUBSTITUTE);
header('Content-Type: text/html; charset=utf-8');
echo '<!doctype html><html><script type="application/json">', base64_encode($told),
    '</script></html>';
"""
TOLD = re.compile(rb'<script type="application/json">([A-Za-z0-9+/=]*)</script>')
MARK = re.compile(r"M[0-9]+M")

REWRITES = r"""
    rewrite ^/(x\d+)/de/(.*)$ /$1/$2;
    location ~ ^/x\d+/last/ { rewrite ^/(x\d+)/last/(.*)$ /$1/$2 last; }
    location ~ ^/x\d+/args/ {
        rewrite ^/(x\d+)/args/(.*)$ /$1/args/$2?lang=de break;
        try_files $uri @fallback;
    }
    location ~ ^/x\d+/try/ { try_files $uri /index.php; }
    location ~ ^/x\d+/front/ { rewrite ^ /index.php last; }
"""
ALIASES = r"""
    rewrite ^/(x\d+)/de/(.*)$ /$1/$2;
    location ~ ^/x\d+/al/(.*)$ { alias DIRECTORY/aliased/$1; try_files "" /index.php; }
"""


@dataclass(frozen=True)
class Ask:
    """One request; `mark` stands in it wherever the visitor may put something."""

    path: bytes
    query: bytes = b""
    method: str = "GET"
    host: str = "site.example"
    headers: tuple[tuple[str, str], ...] = ()

    def is_shareable(self) -> bool:
        """Whether others may be given its answer, or it theirs."""
        harmless = all(
            name in ("Accept", "Accept-Language", "User-Agent", "Referer", "X-Forwarded-For")
            or (name == "Cookie" and re.fullmatch(r"_ga=\S+", text))
            for name, text in self.headers
        )
        return (
            self.method in ("GET", "HEAD")
            and self.host == "site.example"
            and harmless
            and re.fullmatch(rb"|\?utm_source=[^&#]*", self.query) is not None
        )


@dataclass
class Served:
    """A site with all that is behind it."""

    web: Web
    site: Site
    rewritten: re.Pattern[bytes]
    """Targets that the site's own lines rewrite."""
    numbers: Iterator[int] = field(default_factory=count)
    marks: Iterator[int] = field(default_factory=count)
    seen: dict[str, int] = field(default_factory=dict)


SITES: dict[str, dict[str, Any]] = {
    "rewrites": {
        "index": ["index.php", "index.html"],
        "extra": REWRITES,
        "rewritten": rb"/x[0-9]+/(?:de|last|args|try|front)/",
    },
    "aliases": {
        "index": ["index.html", "index.php"],
        "extra": ALIASES,
        "rewritten": rb"/x[0-9]+/(?:de|al)/",
    },
    "argument": {
        "index": ["index.php"],
        "extra": "",
        "rewritten": rb"(?!)",
        "default_server": True,
        "php": {"front_controller": "/front.php?id=", "cookies": None},
    },
}


@pytest.fixture(scope="module", params=SITES)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with reachable_directory() as directory, ExitStack() as ends:
        own = dict(SITES[request.param])
        rewritten = re.compile(own.pop("rewritten"))
        php = PhpFpm(directory)
        sockets = {key: os.fspath(directory / f"{key}.sock") for key in ("hints", "purge")}
        table = php_settings(directory, php, **sockets, **own.pop("php", {}))
        own["extra"] = own["extra"].replace("DIRECTORY", os.fspath(directory))
        web = Web(directory)
        names = ["site.example", "alias.example"]
        site = web.site(
            php=table, server_names=names, default_type="text/html", charset="utf-8", **own
        )
        for name in ("index.php", "front.php"):
            site.write(name, PRINT)
        told = ("canonical", "lifetime", "concurrency", "timeout", "microcache")
        agent = Agent(
            directory,
            {"store": f"memcached://{web.store.socket}"},
            [
                {
                    **{"name": site.name, "root": os.fspath(site.root)},
                    **{"origin": os.fspath(site.origin), "index": site.settings["index"]},
                    **{"default_type": "text/html", "charset": "utf-8"},
                    "php": {**{key: table[key] for key in told}, **sockets},
                }
            ],
        )
        ends.callback(php.end)
        php.start()
        ends.callback(web.end)
        web.start(workers=2)
        ends.callback(agent.end)
        agent.start()
        for path in sockets.values():
            Path(path).chmod(0o666)
        found = Served(web, site, rewritten)
        yield found
        assert found.seen["HIT"] > 20, found.seen
        assert found.seen["shared"] > 20, found.seen
        assert found.seen["own"] > 100, found.seen


PIECES = st.sampled_from(
    [
        *(b"a", b"a", b"a", b"hello", b"(a)", b"%28a%29", b"a;b", b"a:b@c", b"a%3Ab", b".NET"),
        *(b"C++", b"C%2B%2B", b"C%2b%2b", b"%43++", b"What%3F", b"100%25", b"%61", b"a%20b"),
        *(b"%E3%82%AB", b"%e3%82%ab", b"\xe3\x82\xab", b"%C3%A9%2B", b"a%2Fb", b"", b".", b".."),
        *(b"index.html", b"index.php", b"x.php", b'"', b"<", b"|", b"%22", b"#", b"%23", b"%5C"),
        *(b"de", b"last", b"args", b"try", b"front", b"al", b"\\", b"[1]", b"a.b"),
    ]
)
ANY_BYTE = st.one_of(
    st.integers(0x21, 0xFF).filter(lambda byte: byte != 0x3F).map(lambda byte: bytes([byte])),
    st.integers(1, 0xFF).map(lambda byte: b"%%%02X" % byte),
    st.integers(1, 0xFF).map(lambda byte: b"%%%02x" % byte),
)
SEGMENT = st.one_of(PIECES, PIECES, st.builds(lambda piece, byte: piece + byte, PIECES, ANY_BYTE))
PATHS = st.builds(
    lambda parts, slash: b"".join(b"/" + part for part in parts) + slash,
    st.lists(SEGMENT, max_size=3),
    st.sampled_from([b"", b"/"]),
)
ARGUMENTS = [b"?", b"?utm_source=MARK", b"?id=MARK", b"?utm_source=x#MARK", b"?utm_source=x&id=1"]
HOSTS = ["alias.example", "Site.Example", "site.example:80", "other.example"]
HEADERS = st.lists(
    st.sampled_from(
        [
            *[(name, "MARK") for name in ("User-Agent", "Accept", "Accept-Language", "Referer")],
            *[("Cookie", "_ga=MARK"), ("Cookie", "sess=MARK"), ("Cookie", "_ga=1; sess=MARK")],
            *[(name, "MARK") for name in ("Authorization", "X-Api-Key", "HX-Request")],
            ("X-Forwarded-For", "MARK"),
        ]
    ),
    max_size=2,
    unique_by=lambda pair: pair[0],
).map(tuple)
ASKS = st.builds(
    Ask,
    PATHS,
    st.sampled_from([*([b""] * 8), *ARGUMENTS]),
    st.sampled_from([*(["GET"] * 8), "HEAD", "POST"]),
    st.sampled_from([*(["site.example"] * 8), *HOSTS]),
    st.one_of(st.just(()), HEADERS),
)
SEQUENCES = st.lists(st.lists(ASKS, min_size=1, max_size=AT_ONCE), min_size=1, max_size=BATCHES)


def marked(text: str, mark: str) -> str:
    return text.replace("MARK", mark)


def ask(served: Served, number: int, wanted: Ask) -> None:
    """Send one request, and look at its answer."""
    mark = f"M{next(served.marks)}M"
    target = b"/x%d" % number + wanted.path + wanted.query.replace(b"MARK", mark.encode())
    headers = {name: marked(text, mark) for name, text in wanted.headers}
    with Connection(served.site.public) as connection:
        answer = connection.ask(
            target,
            wanted.method,
            headers,
            mark.encode() if wanted.method == "POST" else None,
            wanted.host,
        )
    check(served, wanted, target, mark, headers, answer)


def check(
    served: Served,
    wanted: Ask,
    target: bytes,
    mark: str,
    headers: Mapping[str, str],
    answer: Answer,
) -> None:
    found = TOLD.search(answer.body)
    if found is None:
        if wanted.method != "HEAD":
            # refused: by nginx itself, for no host of ours, or a name that is never served
            assert answer.status in (400, 404, 421), (target, answer)
        return
    assert answer.status == 200
    told = json.loads(base64.b64decode(found[1]))
    text = json.dumps(told)
    is_shared = told.get("MEMFIS_SHARED") == "1"
    path = target.partition(b"?")[0]
    is_rewritten = served.rewritten.match(path)
    uri = told["REQUEST_URI"].encode("utf-8", "surrogateescape")
    if not is_shared:
        served.seen["own"] = served.seen.get("own", 0) + 1
        assert answer.source == "FALLBACK"
        assert uri == target.decode("utf-8", "replace").encode()
        assert set(MARK.findall(text)) <= {mark}
        assert told["REQUEST_METHOD"] == wanted.method
        assert told["HTTP_HOST"] == wanted.host or wanted.host == "other.example"
        for name, value in headers.items():
            assert told[f"HTTP_{name.upper().replace('-', '_')}"] == value
        might_be = wanted.is_shareable() and page_of(path) is not None and not is_rewritten
        assert not might_be, "everybody's page, made for one visitor"
        return
    where = "HIT" if answer.source == "HIT" else "shared"
    served.seen[where] = served.seen.get(where, 0) + 1
    assert not MARK.findall(text), "something of a visitor is in everybody's page"
    assert uri.lower() == path.lower(), "the page of another request"
    assert wanted.is_shareable(), "a request of one's own"
    assert page_of(path) is not None
    assert not is_rewritten
    assert told["HTTP_HOST"] == "site.example"
    assert told["REMOTE_ADDR"] == told["SERVER_ADDR"] == "127.0.0.1"
    if "id" in told["QUERY_STRING"]:
        assert told["QUERY_STRING"].startswith("id=x")


@settings(
    max_examples=max(1, REQUESTS // (len(SITES) * MEAN)),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(sequence=SEQUENCES)
def test_every_answer_names_its_own_request(served: Served, sequence: list[list[Ask]]) -> None:
    number = next(served.numbers)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for batch in [*sequence, None, *sequence]:
            if batch is None:
                time.sleep(PAUSE)
                continue
            for done in [pool.submit(ask, served, number, wanted) for wanted in batch]:
                done.result()
