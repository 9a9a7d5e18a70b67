"""Pages by Lua for who speaks HTTP/2 over TLS: curl, with one stream and with many at once."""

import subprocess
from pathlib import Path

import pytest

from memfis.layout import keys
from memfis.layout.heads import Head, encode_head
from support.nginx import Site, Web
from support.slow_store import SlowStore
from support.tls import Certificate

FLAGS = 8
CONTENT = b"0123456789" * 3_000


class Visitor:
    """curl, which believes the certificate and speaks nothing but HTTP/2."""

    def __init__(self, site: Site, certificate: Certificate, address: Path) -> None:
        self._url = f"https://{site.name}"
        self._command = ("curl", "--silent", "--show-error", "--http2", "--unix-socket", address)
        self._trust = ("--cacert", certificate.certificate)

    def run(self, *arguments: str | Path, urls: str = "/a.html") -> bytes:
        """Ask for `urls`, a path that may have curl's ranges, and return what curl prints."""
        command = (*self._command, *self._trust, *arguments, self._url + urls)
        return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout

    def fields(self, *arguments: str) -> tuple[str, dict[str, str]]:
        """Return the first line of the answer without its body, and its header fields."""
        said = self.run("--dump-header", "-", "--output", "/dev/null", *arguments).decode()
        first, *lines = said.split("\r\n")[:-2]
        return first.strip(), dict(line.split(": ", 1) for line in lines)


@pytest.fixture
def visitor(web: Web, slow: SlowStore) -> Visitor:
    """Who visits a site that has one page, with its head."""
    certificate = Certificate(web.directory)
    address = web.directory / "tls.sock"
    tls = {**certificate.settings, "listen": [f"unix:{address}"], "redirect": False}
    site = web.site(from_memory="lua", tls=tls, store_address=slow.address)
    web.start()
    head = encode_head(Head(mtime_ns=1_700_000_000 * 10**9))
    web.store.put(keys.head_key(site.name, b"/a.html"), head, FLAGS)
    site.put("/a.html", CONTENT, FLAGS)
    return Visitor(site, certificate, address)


def test_a_page_its_head_and_its_validators(visitor: Visitor) -> None:
    first, fields = visitor.fields()
    assert (first, fields["x-memfis"]) == ("HTTP/2 200", "HIT")
    assert fields["content-length"] == str(len(CONTENT))
    assert visitor.run() == CONTENT
    first, head = visitor.fields("--head")
    assert first == "HTTP/2 200"
    assert head | {"date": ""} == fields | {"date": ""}
    for condition in (
        f"If-None-Match: {fields['etag']}",
        f"If-Modified-Since: {fields['last-modified']}",
    ):
        first, said = visitor.fields("--header", condition)
        assert (first, said["x-memfis"]) == ("HTTP/2 304", "HIT")
        assert said["etag"] == fields["etag"]
        assert "content-length" not in said


def test_many_streams_of_one_connection(visitor: Visitor, slow: SlowStore, web: Web) -> None:
    """All wait for one answer of the store, and each gets the whole page."""
    slow.delay = 0.2
    got = web.directory / "got"
    got.mkdir()
    told = visitor.run(
        *("--parallel", "--parallel-max", "100", "--output", got / "#1"),
        *("--write-out", "%{http_version} %{http_code} %{num_connects} %header{x-memfis}\n"),
        urls="/a.html#[1-200]",
    )
    lines = told.decode().splitlines()
    assert sorted(lines) == ["2 200 0 HIT"] * 199 + ["2 200 1 HIT"]
    assert [(got / str(each)).read_bytes() for each in range(1, 201)] == [CONTENT] * 200
    asked = b"mg " + keys.page_key("site.example", b"/a.html") + b" v f c"
    assert slow.commands.count(asked) == 1
