"""A site with `from_memory: off`: nginx answers from the disk, and PHP, with nothing of ours."""

import json
from email.utils import parsedate_to_datetime
from typing import Any

from support.http import Answer
from support.nginx import Web
from support.php import PhpFpm, asked, site_with

SETTINGS: dict[str, Any] = {
    "headers": {"X-Told": "a $price", "Cache-Control": "max-age=60"},
    "expires": [{"type": "image/", "expires": "30d"}],
    "error_pages": [{"codes": [404], "uri": "/404.html"}],
    "index": ["index.html", "start.htm"],
    "charset": "utf-8",
    "extra": "location /closed/ { deny all; }",
}


def said(answer: Answer) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Return all of an answer, but for its time and who answered; Expires: seconds after that."""
    fields = [(name.lower(), text) for name, text in answer.headers.items()]
    date, expires = answer.header("Date"), answer.header("Expires")
    if date is not None and expires is not None:
        lifetime = parsedate_to_datetime(expires) - parsedate_to_datetime(date)
        fields = [field for field in fields if field[0] != "expires"]
        fields.append(("expires", str(lifetime.total_seconds())))
    return (
        answer.status,
        answer.body,
        sorted(field for field in fields if field[0] not in ("date", "x-memfis")),
    )


def test_the_disk_answers_as_behind_memory_and_needs_no_store(web: Web) -> None:
    on = web.site("on.example", **SETTINGS)
    off = web.site("off.example", from_memory="off", **SETTINGS | {"root": str(on.root)})
    text = b"<p>disk</p>" * 200
    files = ("index.html", "a/page.html", "a/logo.png", "b/start.htm", "closed/x.html", "404.html")
    for path in files:
        on.write(path, text + path.encode())
    on.write("x.php", b"source")
    web.start()
    for path in files:
        off.put(f"/{path.removesuffix('index.html')}", b"poisoned")
    rendered = (web.directory / "off.example.conf").read_text()
    for ours in ("memcached", f"unix:{off.origin}", "X-Memfis", web.store.address):
        assert ours not in rendered
    web.store.end()
    targets = [*(f"/{path}" for path in files), *("/", "/a", "/a/", "/b", "/x.php", "/no", "/.x")]
    tag = on.get_origin("/a/page.html").header("ETag")
    assert tag
    for headers in (
        {},
        {"Accept-Encoding": "gzip"},
        {"Range": "bytes=3-5"},
        {"If-None-Match": tag},
        {"Accept-Encoding": "gzip", "Range": "bytes=3-"},
    ):
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            for target in targets:
                answer = off.get(target, method, headers, host=on.name)
                disk = on.get_origin(target, method, headers)
                assert answer.source is None
                assert said(answer) == said(disk), (target, method, headers)
    assert off.get("/a/page.html").body == text + b"a/page.html"


def test_every_request_is_phps_own(web: Web, php: PhpFpm) -> None:
    site = site_with(web, php, from_memory="off")
    site.write("logo.txt", b"disk")
    site.put("/hello", b"poisoned")
    site.put("/logo.txt", b"poisoned")
    assert site.get("/logo.txt").body == b"disk"
    before = len(asked(site))
    for cookie in ("", "session=1"):
        for _ in range(3):
            answer = site.get("/hello?x=1", headers={"Cookie": cookie, "User-Agent": "me"})
            assert answer.source is None
            found = json.loads(answer.body)
            assert (found["uri"], found["shared"]) == ("/hello?x=1", None)
    assert len(asked(site)) == before + 6, "one answer was given twice"
    assert site.get("/hello", host="other.example").status == 421
    assert site.get("/logo.txt", host="other.example").body == b"disk"
