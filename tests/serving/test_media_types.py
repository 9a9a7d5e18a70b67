"""The type of an answer: the same from memory and from disk, and one of today's."""

import pytest

from memfis.nginx.media_types import MediaTypes
from memfis.settings.media_types import TYPES, types_in
from support.nginx import MIME_TYPES, Web

OWN = {"md": "text/x-own", "js": "application/x-own", "odd+x": "application/x-odd"}


def warned_of_types(web: Web) -> list[str]:
    """Return what nginx warns of in its table of types: twice the same, or no room."""
    lines = web.nginx.log.read_text().splitlines()
    return [line for line in lines if "duplicate extension" in line or "types_hash" in line]


def test_every_type_is_the_same_from_memory_and_from_disk(web: Web) -> None:
    plain, own = web.site(charset="utf-8"), web.site("own.example", types=OWN)
    stored = web.site("stored.example", source="store", types=OWN)
    web.start()
    host = types_in(MIME_TYPES.read_text())
    assert host["css"] == "text/css"
    extensions = sorted({*host, *TYPES, *OWN, "unknown"})
    for site, types in ((plain, {}), (own, OWN), (stored, OWN)):
        renderer = MediaTypes.read(str(MIME_TYPES), None, site.settings["charset"], types)
        expected = {**TYPES, **host, **types}
        for extension in extensions:
            url = f"/x.{extension}"
            told = set()
            if not site.stored:
                site.write(url[1:], b"disk")
                told = {
                    site.get(url).header("Content-Type"),
                    site.get_origin(url).header("Content-Type"),
                }
            site.put(url, b"memory")
            answer = site.get(url)
            assert answer.source == "HIT"
            told.add(answer.header("Content-Type"))
            told.add(renderer.of(url.encode()))
            assert len(told) == 1, (extension, told)
            assert str(told.pop()).split(";")[0] == expected.get(
                extension, "application/octet-stream"
            )
    assert not warned_of_types(web)


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.mjs", "text/javascript"),
        ("site.webmanifest", "application/manifest+json"),
        ("a.wasm", "application/wasm"),
        ("a.avif", "image/avif"),
        ("a.jxl", "image/jxl"),
        ("a.woff2", "font/woff2"),
        ("a.js.map", "application/json"),
        ("A.MJS", "text/javascript"),
        ("a.html", "text/html"),
    ],
)
def test_types_of_today(web: Web, name: str, media_type: str) -> None:
    site = web.site()
    web.start()
    site.write(name, b"disk")
    assert site.get(f"/{name}").header("Content-Type") == media_type
    site.put(f"/{name}", b"memory")
    assert site.get(f"/{name}").header("Content-Type") == media_type


def test_lines_of_the_sites_own_may_have_the_types_of_all_of_it(web: Web) -> None:
    """As they could before there were any of ours: no extension is there twice."""
    site = web.site(extra=f"types_hash_max_size 4096; include {MIME_TYPES}; types {{ a/b mjs; }}")
    other = web.site("other.example", extra="types_hash_max_size 4096;")
    web.start()
    for name, each, media_type in (
        *(("x.mjs", site, "a/b"), ("x.css", site, "text/css")),
        *(("x.mjs", other, "text/javascript"), ("x.css", other, "text/css")),
    ):
        each.write(name, b"disk")
        assert each.get(f"/{name}").header("Content-Type") == media_type
    assert not warned_of_types(web)
