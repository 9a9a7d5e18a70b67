"""Which names are never served: nginx and agent decide the same, and no more than they must."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from memfis.settings.site import SCRIPT_EXTENSIONS
from memfis.webroot.exclusions import DEFAULT_PATTERNS, RefusedNames
from support.directory import reachable_directory
from support.nginx import Site, Web

KINDS: dict[str, dict[str, Any]] = {
    "static": {},
    "none": {"script_extensions": []},
    "others": {"script_extensions": ["ASP", "c++", "8", "x-y"]},
    "run": {"extra": "location /api/ { proxy_pass http://127.0.0.1:9; }"},
    "told": {"runs_scripts": True, "script_extensions": ["ASP", "c++"]},
    "stored": {"source": "store"},
}
"""Settings by the name of a site."""

SAYS = """
location ~ ^ {
    add_header X-Refused no always;
    return 200;
}
"""


@pytest.fixture(scope="module")
def sites() -> Iterator[dict[str, Site]]:
    """Sites that answer every URL that is not refused with 200."""
    with reachable_directory() as directory:
        web = Web(directory)
        made = {}
        for name, kind in KINDS.items():
            made[name] = web.site(
                f"{name}.example", **{**kind, "extra": kind.get("extra", "") + SAYS}
            )
        web.start()
        yield made
        web.end()


def refused_by_agent(site: Site, path: bytes) -> bool:
    refused = RefusedNames(
        site.settings["script_extensions"], strict=bool(site.settings["runs_scripts"])
    )
    directory = b"/"
    *above, name = path[1:].split(b"/")
    for each in above:
        if refused.refuses(directory, each, True):
            return True
        directory += each + b"/"
    return name != b"" and refused.refuses(directory, name, False)


def agree(site: Site, path: bytes) -> None:
    target = b"".join(b"%%%02X" % byte for byte in path).replace(b"%2F", b"/")
    answer = site.get(target)
    assert answer.status in (200, 404), path
    assert (answer.status == 404) == refused_by_agent(site, path), path


PART = st.one_of(
    st.sampled_from(
        [
            *(f".{extension}".encode() for extension in (*SCRIPT_EXTENSIONS, "asp", "c++", "8")),
            *(pattern.replace("*", "").encode() for pattern in DEFAULT_PATTERNS),
            *(b".x-y", b".xzy", b".html", b".txt", b"~", b"#", b".~1~", b".dpkg-", b".", b"a"),
            *(b"\n", b"\xff", b".well-known", b".php6", b".php10", b"ccc"),
        ]
    ),
    st.sampled_from(SCRIPT_EXTENSIONS).map(lambda each: b"." + each.upper().encode()),
    st.binary(min_size=1, max_size=2).map(lambda each: re.sub(rb"[/\0]", b"", each)),
)
NAME = (
    st.lists(PART, min_size=1, max_size=4)
    .map(b"".join)
    .filter(lambda name: name not in (b"", b".", b".."))
)
PATH = st.builds(
    lambda names, end: b"/" + b"/".join(names) + end,
    st.lists(NAME, min_size=1, max_size=3),
    st.sampled_from([b"", b"", b"/"]),
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=300, deadline=None)
@given(path=PATH)
@example(b"/x.php.dpkg-~~~~~~~~~~~~~~~~~~~~~~~~~~~~/")
@example(b"/v1.php/")
@example(b"/v1.php")
@example(b"/docs/.well-known/x")
@example(b"/.well-known/x.php/.a")
@example(b"/x.inc.dpkg-old~.bak")
def test_random_paths(sites: dict[str, Site], kind: str, path: bytes) -> None:
    agree(sites[kind], path)


SERVED = (
    *("cov/Foo.php.html", "util.inc.gcov.html", "d.php.txt", "tool.phar.asc", "x.php.bak.html"),
    *("v1.php/index.html", "v1.inc/a.txt", "docs/.well-known/x", ".well-known/y"),
)


@pytest.mark.parametrize("path", SERVED)
def test_names_that_only_contain_a_scripts_are_served(web: Web, path: str) -> None:
    """From memory, from the disk, and where there is no disk."""
    site = web.site()
    stored = web.site("stored.example", source="store")
    web.start()
    site.write(path, b"disk")
    url = f"/{path}".removesuffix("index.html")
    for answer in (site.get(url), site.get_origin(url)):
        assert (answer.status, answer.body) == (200, b"disk")
    for each in (site, stored):
        each.put(url, b"memory")
        assert (each.get(url).status, each.get(url).source) == (200, "HIT")


@pytest.mark.parametrize(
    "path",
    [
        "x.php",
        "X.PHP.Bak",
        "config.inc~",
        "#x.php#",
        "a/x.phtml.dpkg-old",
        "x.php.~1~",
        "x.inc.old",
    ],
)
def test_what_would_be_a_scripts_own_name_is_not(web: Web, path: str) -> None:
    site = web.site()
    stored = web.site("stored.example", source="store")
    web.start()
    site.write(path, b"secret")
    url = "/" + path.replace("#", "%23")
    for each in (site, stored):
        each.put(f"/{path}", b"secret")
        assert each.get(url).status == 404
    assert site.get_origin(url).status == 404


@pytest.mark.parametrize(
    "index", ["index.php.html", "index.html~", "index.php.txt", "start.inc.old", "index.php"]
)
@pytest.mark.parametrize("runs", [False, True])
def test_an_index_name_is_sent_where_its_url_is(web: Web, index: str, runs: bool) -> None:
    site = web.site(index=[index], runs_scripts=runs)
    web.start()
    site.write(f"docs/{index}", b"page")
    sent = site.get_origin(f"/docs/{index}").status == 200
    assert sent != RefusedNames(strict=runs).refuses(b"/docs/", index.encode(), False)
    assert (site.get("/docs/").status == 200) == sent
