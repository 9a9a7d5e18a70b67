"""Which targets share a page: nginx and agent decide the same, and what they decide leads back."""

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from memfis.layout.identity import page_of, target_of
from support.directory import reachable_directory
from support.http import Connection
from support.nginx import Site, Web
from support.php import PhpFpm
from support.php import settings as php_settings


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """One whose nginx says in a header what it decides."""
    with reachable_directory() as directory:
        web = Web(directory)
        site = web.site(
            php=php_settings(directory, PhpFpm(directory), ignored_arguments=[]),
            index=["index.php"],
            extra="""
            location ~ ^ {
                add_header X-Odd "[$memfis_odd_site_pexample]" always;
                add_header X-Page "[$memfis_page_site_pexample]" always;
                add_header X-Moved "[$memfis_moved_site_pexample]" always;
                return 200;
            }
            """,
        )
        web.start()
        yield site
        web.end()


def by_nginx(site: Site, target: bytes) -> bytes | str | None:
    """Return what nginx decides of `target`, or "refused" where it takes none such."""
    with Connection(site.public) as connection:
        answer = connection.ask(target)
    if answer.status == 400:
        return "refused"
    assert answer.status == 200, (target, answer)

    def header(name: str) -> bytes:
        found = answer.header(name)
        assert found is not None
        return found.encode("latin-1")[1:-1]

    if header("X-Odd") or header("X-Moved"):
        return None
    return header("X-Page")


def agree(site: Site, target: bytes) -> None:
    """Assert that nginx and the agent decide the same of `target`, which has no arguments."""
    theirs = by_nginx(site, target)
    ours = page_of(target)
    if theirs == "refused":
        assert ours is None, target
        return
    assert theirs == ours, target
    if ours is not None:
        again = target_of(ours)
        assert page_of(again) == ours
        assert again.lower() == target.lower()  # but for the case of hexadecimal digits
        assert not again.endswith(b"?")


def test_every_byte_as_it_is_and_escaped(site: Site) -> None:
    for byte in range(256):
        if bytes([byte]) not in b" \r\n?":
            agree(site, b"/a" + bytes([byte]) + b"b")
        for form in (b"%%%02X", b"%%%02x"):
            agree(site, b"/a" + form % byte + b"b")
            agree(site, b"/" + form % byte)
            agree(site, b"/%E3%82%AB" + form % byte + b"/")
            agree(site, b"/a+b" + form % byte)


PIECES = [
    *(
        b"/",
        b"//",
        b".",
        b"..",
        b"a",
        b"index",
        b"%2F",
        b"%2e",
        b"%2E",
        b"%00",
        b"%",
        b"%4",
        b"%zz",
    ),
    *(
        b"%E3%82%AB",
        b"%e3%82%ab",
        b"\xe3\x82\xab",
        b"+",
        b"%2B",
        b"%2b",
        b"#",
        b"%23",
        b"%3F",
        b"%25",
    ),
    *(
        b"%2525",
        b"%252B",
        b"(",
        b"%28",
        b"'",
        b"~",
        b"%7E",
        b";",
        b"@",
        b"%40",
        b":",
        b"%0A",
        b"%20",
    ),
    *(b"\\", b"%5C", b'"', b"<", b"|", b"^", b"[", b"%5B", b"{", b"`", b"\xff", b"%FF", b"%7F"),
]


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join))
@example(b"//")
@example(b"/./")
@example(b"/%2F")
@example(b"/...")
@example(b"/C%2B%2B%e3")
def test_random_targets(site: Site, rest: bytes) -> None:
    agree(site, b"/" + rest)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_no_two_targets_share_a_page(one: bytes, other: bytes) -> None:
    first, second = page_of(b"/" + one), page_of(b"/" + other)
    if first is not None and first == second:
        assert one.partition(b"?")[0].lower() == other.partition(b"?")[0].lower()


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/wiki/What%3F", "/wiki/What?"),
        ("/wiki/100%25", "/wiki/100%"),
        ("/wiki/%28a%29", "//wiki/%28a%29"),
        ("/wiki/C%2B%2B", "//wiki/C%2B%2B"),
        ("/wiki/C++", "/wiki/C++"),
        ("/wiki/.NET", "/wiki/.NET"),
        ("/%E3%82%AB", "/カ"),
        ("/%e3%82%ab", "/カ"),
        ("/tag/ac%2Fdc/", None),
        ("/hello//", None),
        ("//hello/", None),
        ("/foo#", None),
        ("/foo?", None),
        ("/caf\u00e9", None),
        ("/a b", None),
        ("/%41", None),
        ("/a/../b", None),
        ("/a%0Ab", None),
    ],
)
def test_pages(target: str, path: str | None) -> None:
    assert page_of(target.encode()) == (None if path is None else path.encode())
