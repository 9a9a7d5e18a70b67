import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memfis.errors import UsageError
from memfis.layout.keys import (
    check_site_name,
    directory_key,
    escape,
    head_key,
    longest_key,
    page_key,
    page_path,
    private_key,
    site_key,
    unescape,
)

paths = st.binary(max_size=60).map(lambda raw: b"/" + raw)


def test_a_page_key_is_scheme_site_and_path() -> None:
    assert page_key("example.org", b"/docs/") == b"memfis://example.org/docs/"


def test_space_percent_and_control_bytes_are_escaped_in_upper_case() -> None:
    assert escape(b"/a b%\x1f\n\x00") == b"/a%20b%25%1F%0A%00"


def test_other_bytes_stay_as_they_are() -> None:
    kept = bytes(byte for byte in range(0x21, 0x100) if byte != 0x25)
    assert escape(kept) == kept


@given(paths)
def test_escaping_can_be_undone(path: bytes) -> None:
    assert unescape(escape(path)) == path


@given(paths, paths)
def test_no_two_items_share_a_key(one: bytes, other: bytes) -> None:
    kinds = [
        *(key("example.org", one) for key in (page_key, private_key, head_key, directory_key)),
        site_key("example.org"),
    ]
    assert len(set(kinds)) == len(kinds)
    assert (page_key("example.org", one) == page_key("example.org", other)) == (one == other)


@given(paths)
def test_the_longest_key_bounds_every_key_of_an_entry(path: bytes) -> None:
    keys = (
        page_key("example.org", path),
        private_key("example.org", path),
        head_key("example.org", path),
        directory_key("example.org", path + b"/"),
    )
    assert max(map(len, keys)) == longest_key("example.org", path)


@pytest.mark.parametrize("name", ["", "a_b", "A", "a/b", "a b", "a\n", "ä"])
def test_a_site_name_that_cannot_stand_in_a_key_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="site name"):
        check_site_name(name)


def test_an_index_file_is_kept_under_its_directory() -> None:
    assert page_path(b"/docs/", b"index.html", b"index.html") == b"/docs/"
    assert page_path(b"/docs/", b"index.htm", b"index.html") == b"/docs/index.htm"
    assert page_path(b"/docs/", b"index.html", None) == b"/docs/index.html"


def test_a_name_that_is_not_utf8_goes_through_as_bytes() -> None:
    name = os.fsencode("caf\udce9")
    assert page_key("example.org", b"/" + name) == b"memfis://example.org/caf\xe9"
