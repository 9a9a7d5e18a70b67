import gzip
import os
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memfis.errors import MemfisError
from memfis.layout.compression import LEVEL, MIN_SIZE, Compression
from memfis.layout.pages import FINGERPRINT, GZIP, Page, content_of, fingerprint, make_page, may_fit

DEFAULT = Compression()
TEXT = b"<p>The quick brown fox jumps over the lazy dog.</p>\n" * 200


CONTENT = st.binary(max_size=3000) | st.text("ab <>", max_size=3000).map(str.encode)
COMPRESSION = st.builds(
    Compression,
    level=st.integers(0, 12),
    types=st.frozensets(st.sampled_from(["html", "png", ""])),
    min_size=st.integers(0, 1000),
    min_saving=st.integers(0, 100),
)
NAMES = st.sampled_from([b"a.html", b"a.PNG", b"LICENSE", b"a."])


@given(CONTENT, NAMES, COMPRESSION)
def test_every_page_gives_its_content_back(
    content: bytes, name: bytes, compression: Compression
) -> None:
    page = make_page(name, content, compression)
    assert content_of(page) == content
    assert page.flags & FINGERPRINT == zlib.crc32(content) & FINGERPRINT
    assert page.flags & 1 == 0


@given(CONTENT, NAMES, COMPRESSION)
def test_what_is_stored_as_gzip_is_what_the_settings_say(
    content: bytes, name: bytes, compression: Compression
) -> None:
    page = make_page(name, content, compression)
    if page.flags & GZIP:
        assert gzip.decompress(page.value) == content
        assert compression.level > 0
        assert {b"a.html": "html", b"a.PNG": "png"}.get(name, "") in compression.types
        assert len(content) >= compression.min_size
        assert 1 - len(page.value) / len(content) >= compression.min_saving / 100 - 1e-9
    else:
        assert page.value == content


@given(CONTENT, st.integers(1, 12))
def test_the_gzip_trailer_carries_the_fingerprint(content: bytes, level: int) -> None:
    page = make_page(b"index.html", TEXT + content, Compression(level))
    assert page.flags & GZIP
    assert int.from_bytes(page.value[-8:-4], "little") & FINGERPRINT == page.flags & FINGERPRINT


@pytest.mark.parametrize("level", range(1, 13))
def test_the_same_content_makes_the_same_bytes_without_a_time(level: int) -> None:
    page = make_page(b"a.html", TEXT, Compression(level))
    assert page == make_page(b"b.css", TEXT, Compression(level))
    assert page.value[4:8] == bytes(4)


def test_text_is_stored_as_gzip_that_anybody_can_read() -> None:
    page = make_page(b"index.html", TEXT, DEFAULT)
    assert page.flags & GZIP
    assert len(page.value) < len(TEXT) // 10
    assert gzip.decompress(page.value) == TEXT


def test_a_higher_level_makes_smaller_pages() -> None:
    content = " ".join(f"{number:x} {number * number:x}" for number in range(3000)).encode()
    sizes = [len(make_page(b"a", content, Compression(level)).value) for level in (0, 1, LEVEL, 12)]
    assert sizes[0] == len(content)
    assert sizes == sorted(set(sizes), reverse=True)


def test_the_default_level_is_as_dense_as_promised() -> None:
    source = b"".join(path.read_bytes() for path in sorted(Path(gzip.__file__).parent.glob("*.py")))
    pages = [source[start : start + 25_000] for start in range(0, 1_000_000, 25_000)]
    stored = sum(len(make_page(b"a.txt", page, DEFAULT).value) for page in pages)
    assert stored <= 1.1 * sum(len(gzip.compress(page, 6)) for page in pages)


@pytest.mark.parametrize(
    ("name", "content", "compression"),
    [
        (b"photo.jpg", TEXT, DEFAULT),
        (b"font.woff2", TEXT, DEFAULT),
        (b"site.tar.gz", TEXT, DEFAULT),
        (b"tiny.html", b"x" * (MIN_SIZE - 1), DEFAULT),
        (b"noise.html", os.urandom(5000), DEFAULT),
        (b"a.html", TEXT, Compression(level=0)),
        (b"a.html", TEXT, Compression(types=frozenset(["css", ""]))),
        (b"LICENSE", TEXT, Compression(types=frozenset(["html"]))),
        (b"a.html", TEXT, Compression(min_size=len(TEXT) + 1)),
        (b"a.html", TEXT, Compression(min_saving=100)),
    ],
)
def test_what_is_not_to_be_compressed_is_stored_as_it_is(
    name: bytes, content: bytes, compression: Compression
) -> None:
    assert make_page(name, content, compression) == Page(content, fingerprint(content))


@pytest.mark.parametrize(
    ("name", "content", "compression"),
    [
        (b"PAGE.HTML", TEXT, DEFAULT),
        (b"LICENSE", TEXT, DEFAULT),
        (b"\xff.html", TEXT, DEFAULT),
        (b"a.b\xe9", TEXT, Compression(types=frozenset(["b\udce9"]))),
        (b"least.html", b"x" * MIN_SIZE, DEFAULT),
        (b"a.html", TEXT, Compression(min_size=len(TEXT))),
        (b"a.html", b"x" * 100, Compression(min_size=0)),
        (b"a.html", TEXT, Compression(min_saving=90)),
    ],
)
def test_what_is_to_be_compressed_is(name: bytes, content: bytes, compression: Compression) -> None:
    page = make_page(name, content, compression)
    assert page.flags == fingerprint(content) | GZIP
    assert gzip.decompress(page.value) == content


@pytest.mark.parametrize(
    "damage",
    [
        lambda v: v[:0],
        lambda v: v[:-1],
        lambda v: v[:-9],
        lambda v: b"x" + v,
        lambda v: v[:40] + b"\0" * 40,
        lambda v: v[:-4] + b"\0" * 4,
        lambda v: v + b"more",
    ],
)
def test_a_broken_page_is_an_error_not_content(damage: object) -> None:
    value = make_page(b"index.html", TEXT, DEFAULT).value
    assert callable(damage)
    with pytest.raises(MemfisError, match="gzip"):
        content_of(Page(damage(value), GZIP))


def test_the_fingerprint_does_not_depend_on_compression() -> None:
    assert make_page(b"a.png", TEXT, DEFAULT).flags == fingerprint(TEXT)
    for level in range(1, 13):
        flags = make_page(b"a.html", TEXT, Compression(level)).flags
        assert flags == fingerprint(TEXT) | GZIP


def test_a_large_text_may_fit_and_a_large_image_may_not() -> None:
    assert may_fit(b"a.html", 1_000_000, 131072, DEFAULT)
    assert not may_fit(b"a.html", 1_000_000, 131072, Compression(level=0))
    assert not may_fit(b"a.jpg", 131073, 131072, DEFAULT)
    assert not may_fit(b"a.html", 1_000_000_000, 131072, DEFAULT)
