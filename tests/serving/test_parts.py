"""Parts of pages: what is promised is what is given, and what is put together of them is the page.

RFC 9110, section 14.2: a range is one of the representation that would be sent whole. The measure
is nginx with gzip_static, where a compressed answer promises no parts and is always sent whole.
"""

import gzip
import os
import random
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from memfis.layout.compression import Compression
from memfis.layout.pages import GZIP, make_page
from support.directory import reachable_directory
from support.http import Answer
from support.nginx import Site, Web
from support.php import PhpFpm, site_with

_RANDOM = random.Random(14)
TEXT = " ".join(str(_RANDOM.random()) for _ in range(2000)).encode()
NOISE = _RANDOM.randbytes(20_000)

FILES = {
    "page.html": TEXT,
    "docs/index.html": TEXT,
    "style.css": TEXT,
    "STYLE.CSS": TEXT,
    "README": TEXT,
    "dot.": TEXT,
    "a b/ü%.txt": TEXT,
    "noise.txt": NOISE,
    "short.css": b"a{}" * 20,
    "image.png": NOISE,
    "archive.tar.gz": NOISE,
    "odd.x+(y": TEXT,
}
"""Files by name: what is worth compressing, what does not get smaller, what is not tried."""

TARGETS = {name: "/" + quote(name.removesuffix("index.html"), safe="/+(") for name in FILES}
ENCODINGS = [
    None,
    "identity",
    "br",
    "*",
    "gzip",
    "GZip",
    "gzip, deflate, br",
    "br,gzip;q=0.5",
    "gzip;q=1",
    "gzip;q=0",
    "deflate, gzip; q=0.0, br",
    "x-gzip",
]
PLACES = ["memory", "disk"]


class Server:
    """A site whose pages are in memory or not, as a test wants it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        compression = Compression(types=frozenset(site.settings["compress_types"]))
        for name, content in FILES.items():
            site.write(name, content)
        self._pages = {
            name: make_page(os.fsencode(name), content, compression)
            for name, content in FILES.items()
        }

    def is_compressed(self, name: str) -> bool:
        return bool(self._pages[name].flags & GZIP)

    def place(self, name: str, place: str) -> None:
        """Let the page of `name` come from `place`."""
        page = self._pages[name]
        path = "/" + name.removesuffix("index.html")
        if place == "memory":
            self.site.put(path, page.value, page.flags)
        else:
            self.site.put(path, b"", expire=-1)

    def ask(self, name: str, accepted: str | None, **more: str) -> Answer:
        headers = {} if accepted is None else {"Accept-Encoding": accepted}
        headers |= {key.replace("_", "-"): value for key, value in more.items()}
        return self.site.get(TARGETS[name], headers=headers)


@pytest.fixture(scope="module", params=["gzip on", "gzip off", "php"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with reachable_directory() as directory:
        web, php = Web(directory), PhpFpm(directory)
        types = [*Compression().types, "x+(y"]
        settings: dict[str, Any] = {"compress_types": types, "index": ["index.html"]}
        extra = "" if request.param == "gzip on" else "gzip off;"
        try:
            if request.param == "php":
                php.start()
                site = site_with(web, php, **settings, extra=extra)
            else:
                site = web.site(**settings, extra=extra)
                web.start()
            yield Server(site)
        finally:
            web.end()
            php.end()


def whole(answer: Answer, beginning: bytes = b"") -> bytes:
    """Return the identity content of what came, behind `beginning`."""
    content = beginning + answer.body
    return gzip.decompress(content) if answer.header("Content-Encoding") == "gzip" else content


def put_together(first: Answer, rest: Answer, half: int) -> bytes:
    """Return what a client has that asked for the rest of `first` behind `half` bytes of it."""
    if rest.status == 200:
        return whole(rest)
    assert rest.status == 206
    said = rest.header("Content-Range")
    assert said is not None
    assert said.startswith(f"bytes {half}-")
    # A client looks at what the first answer said: it has begun to store, or to unpack, by that.
    body = first.body[:half] + rest.body
    return gzip.decompress(body) if first.header("Content-Encoding") == "gzip" else body


def resumptions(first: Answer, half: int) -> dict[str, dict[str, str]]:
    """Return the headers by which a client may ask for the rest of `first`."""
    bare = {"Range": f"bytes={half}-"}
    found = {
        "bare": bare,
        "odd": {"Range": f"BYTES= 0{half} - "},
        "none match": {**bare, "If_None_Match": '"x"'},
        "wrong tag": {**bare, "If_Range": '"x"'},
        "wrong date": {**bare, "If_Range": "Thu, 01 Jan 1970 00:00:00 GMT"},
        "no date": {**bare, "If_Range": "yesterday"},
    }
    for field in ("ETag", "Last-Modified"):
        value = first.header(field)
        if value is not None:
            found[field] = {**bare, "If_Range": value}
    if first.header("ETag") is not None:
        found["match"] = {**bare, "If_Match": str(first.header("ETag"))}
    return found


@pytest.mark.parametrize(("before", "after"), list(product(PLACES, PLACES)))
def test_what_is_put_together_is_the_file(server: Server, before: str, after: str) -> None:
    wrong = []
    parts = 0
    for name, accepted in product(FILES, ENCODINGS):
        server.place(name, before)
        first = server.ask(name, accepted)
        assert whole(first) == FILES[name]
        half = len(first.body) // 2
        server.place(name, after)
        for kind, headers in resumptions(first, half).items():
            rest = server.ask(name, accepted, **headers)
            if rest.status == 412:  # a weak ETag, of what nginx compressed, matches nothing
                assert kind == "match"
                continue
            parts += rest.status == 206
            try:
                right = put_together(first, rest, half) == FILES[name]
            except gzip.BadGzipFile:
                right = False
            if not right:
                wrong.append((name, accepted, kind))
    assert not wrong
    assert parts > len(FILES), "or there were no parts to put together"


@pytest.mark.parametrize("place", PLACES)
def test_what_is_promised_is_given(server: Server, place: str) -> None:
    broken = []
    for name, accepted in product(FILES, ENCODINGS):
        server.place(name, place)
        first = server.ask(name, accepted)
        if first.source is not None:
            assert first.source == {"memory": "HIT", "disk": "FALLBACK"}[place], name
        part = server.ask(name, accepted, Range="bytes=5-9")
        promised = first.header("Accept-Ranges")
        assert promised in (None, "bytes")
        if promised and (part.status, part.body) != (206, first.body[5:10]):
            broken.append((name, accepted))
        if first.header("Content-Encoding") == "gzip" and (promised or part.status != 200):
            broken.append((name, accepted))
    assert not broken


def test_identity_answers_from_memory_promise_parts(server: Server) -> None:
    """Also of pages that are stored compressed; what PHP made is not told from files in memory."""
    promised = None if server.site.settings["php"] else "bytes"
    for name, accepted in product(FILES, [None, "identity", "gzip;q=0", "br"]):
        server.place(name, "memory")
        first = server.ask(name, accepted)
        assert (first.source, first.header("Accept-Ranges")) == ("HIT", promised), name
    for name in ("image.png", "archive.tar.gz"):
        server.place(name, "memory")
        assert server.ask(name, "gzip").header("Accept-Ranges") == promised


def test_all_kinds_of_pages_are_tried(server: Server) -> None:
    compressed = {name for name in FILES if server.is_compressed(name)}
    assert compressed == {name for name, content in FILES.items() if content is TEXT}
    server.place("style.css", "memory")
    assert server.ask("style.css", "gzip").header("Content-Encoding") == "gzip"


def test_name_without_a_type_that_is_compressed(web: Web) -> None:
    """What is stored compressed all the same, by settings of before, promises nothing."""
    site = web.site(compress_types=[])
    web.start()
    site.put("/a.css", gzip.compress(TEXT), GZIP)
    for accepted, promised in (("gzip", None), ("identity", "bytes")):
        answer = site.get("/a.css", headers={"Accept-Encoding": accepted})
        assert (answer.source, answer.header("Accept-Ranges")) == ("HIT", promised)


@pytest.mark.parametrize("header", ["X-Memfis", ""])
def test_no_second_promise(web: Web, header: str) -> None:
    """nginx says it by itself where the disk answers."""
    site = web.site(header=header)
    web.start()
    site.write("a.css", TEXT)
    for place in PLACES:
        if place == "memory":
            site.put("/a.css", TEXT)
        assert site.get("/a.css").headers.get_all("Accept-Ranges") == ["bytes"]
        assert site.get("/none").header("Accept-Ranges") is None


def test_rendered_page_is_never_cut(web: Web, php: PhpFpm) -> None:
    """What PHP itself promises is for visitors who are his own: others may get it from memory."""
    site = site_with(web, php)
    (site.root.parent / "headers").write_text("Accept-Ranges: bytes\n")
    fresh = site.get("/new")
    assert (fresh.status, fresh.header("Accept-Ranges")) == (200, None)
    for accepted in ("gzip", "identity"):
        headers = {"Accept-Encoding": accepted, "Range": "bytes=10-"}
        assert site.get("/new", headers=headers).status == 200
        site.put("/hello", gzip.compress(TEXT), GZIP)
        memory = site.get("/hello", headers={"Accept-Encoding": accepted})
        assert (memory.source, memory.header("Accept-Ranges")) == ("HIT", None)
        rest = site.get("/hello", headers=headers)
        assert rest.status == 200


@pytest.mark.parametrize("size", [20_000, 3_000_000])
def test_parts_from_the_store_alone_are_of_what_it_sends(web: Web, size: int) -> None:
    """Where there is no disk: of the compressed page for whom takes gzip, else of none."""
    site = web.site(source="store")
    web.start()
    contents = {"/a.css": (TEXT * (size // len(TEXT) + 1)), "/b.bin": _RANDOM.randbytes(size)}
    site.put("/a.css", gzip.compress(contents["/a.css"]), GZIP)
    site.put("/b.bin", contents["/b.bin"])
    for target, accepted in product(contents, ENCODINGS):
        encoding = {} if accepted is None else {"Accept-Encoding": accepted}
        first = site.get(target, headers=encoding)
        assert whole(first) == contents[target]
        half = len(first.body) // 2
        for kind, headers in resumptions(first, half).items():
            headers = {key.replace("_", "-"): value for key, value in headers.items()}
            rest = site.get(target, headers={**encoding, **headers})
            assert put_together(first, rest, half) == contents[target]
            if kind == "bare":
                given = {200: None, 206: "bytes"}[rest.status]
                assert first.header("Accept-Ranges") == given


@pytest.mark.parametrize("accepted", [None, "gzip"])
@pytest.mark.parametrize(("before", "after"), list(product(PLACES, PLACES)))
def test_curl_goes_on(
    server: Server, before: str, after: str, accepted: str | None, tmp_path: Path
) -> None:
    """As people do it: what curl takes for done is the page, or curl says that it is not done."""
    ended = set()
    for name in FILES:
        server.place(name, before)
        first = server.ask(name, accepted)
        got = tmp_path / "got"
        got.write_bytes(first.body[: len(first.body) // 2])
        server.place(name, after)
        curl = ["curl", "-sf", "-C", "-", "-o", str(got)]
        curl += ["--unix-socket", str(server.site.public)]
        encoding = [] if accepted is None else ["-H", f"Accept-Encoding: {accepted}"]
        done = subprocess.run(
            [*curl, *encoding, f"http://{server.site.name}{TARGETS[name]}"], check=False
        )
        ended.add(done.returncode)
        # 33: the server does not send parts.
        assert done.returncode in (0, 33), name
        if done.returncode == 0:
            content = got.read_bytes()
            packed = first.header("Content-Encoding") == "gzip"
            assert (gzip.decompress(content) if packed else content) == FILES[name], name
    assert 0 in ended
    assert accepted or ended == {0}
