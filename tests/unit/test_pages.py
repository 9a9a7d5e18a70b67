import gzip
import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memfis.errors import MemfisError
from memfis.pages import (
    COMPRESS_FROM,
    FINGERPRINT,
    GZIP,
    Page,
    content_of,
    fingerprint,
    make_page,
    may_fit,
)

TEXT = b"<p>The quick brown fox jumps over the lazy dog.</p>\n" * 200


@given(st.binary(max_size=3000), st.sampled_from([b"a.html", b"a.png", b"LICENSE"]))
def test_every_page_gives_its_content_back(content: bytes, name: bytes) -> None:
    page = make_page(name, content)
    assert content_of(page) == content
    assert page.flags & FINGERPRINT == zlib.crc32(content) & FINGERPRINT
    assert page.flags & 1 == 0


def test_text_is_stored_as_gzip_that_anybody_can_read() -> None:
    page = make_page(b"index.html", TEXT)
    assert page.flags & GZIP
    assert len(page.value) < len(TEXT) // 10
    assert gzip.decompress(page.value) == TEXT


def test_the_gzip_trailer_carries_the_fingerprint() -> None:
    page = make_page(b"index.html", TEXT)
    assert int.from_bytes(page.value[-8:-4], "little") & FINGERPRINT == page.flags & FINGERPRINT


def test_the_same_content_makes_the_same_bytes() -> None:
    assert make_page(b"a.html", TEXT) == make_page(b"b.html", TEXT)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (b"photo.jpg", TEXT),
        (b"tiny.html", b"x" * (COMPRESS_FROM - 1)),
        (b"noise.html", os.urandom(5000)),
    ],
)
def test_what_compression_does_not_help_is_stored_as_it_is(name: bytes, content: bytes) -> None:
    page = make_page(name, content)
    assert page.value == content
    assert not page.flags & GZIP


@pytest.mark.parametrize(
    "damage", [lambda v: v[:-9], lambda v: b"x" + v, lambda v: v[:40] + b"\0" * 40]
)
def test_a_broken_page_is_an_error_not_content(damage: object) -> None:
    value = make_page(b"index.html", TEXT).value
    assert callable(damage)
    with pytest.raises(MemfisError, match="gzip"):
        content_of(Page(damage(value), GZIP))


def test_the_fingerprint_does_not_depend_on_compression() -> None:
    assert make_page(b"a.png", TEXT).flags == fingerprint(TEXT)
    assert make_page(b"a.html", TEXT).flags == fingerprint(TEXT) | GZIP


def test_a_large_text_may_fit_and_a_large_image_may_not() -> None:
    assert may_fit(b"a.html", 1_000_000, 131072)
    assert not may_fit(b"a.jpg", 131073, 131072)
    assert not may_fit(b"a.html", 1_000_000_000, 131072)
