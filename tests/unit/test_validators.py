from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from memfis.layout.heads import Head, decode_head
from memfis.layout.pages import NEEDS_HEAD, NO_PAGE
from memfis.layout.records import Entry
from memfis.layout.validators import (
    PINNED,
    head_of_file,
    is_ambiguous,
    is_by_content,
    served_flags,
)

FILE = Entry("a", 0o100644, 12, PINNED + 999_999_999, flags=6)
files = st.builds(
    Entry,
    name=st.just("a"),
    mode=st.just(0o100644),
    size=st.integers(0, 2**50),
    mtime_ns=st.integers(-(2**63), 2**63 - 1),
    flags=st.integers(0, 2**31 - 1).map(lambda bits: bits << 1),
    ambiguous=st.booleans(),
)


@given(files)
def test_a_head_says_the_time_or_the_content_and_its_flags_say_which(file: Entry) -> None:
    head = decode_head(head_of_file(file))
    assert head is not None
    if is_by_content(file):
        etag = b'"m%x-%x"' % (file.flags & ~3, file.size)
        assert head == Head(fields=((b"ETag", etag),))
        assert served_flags(file) == file.flags | NEEDS_HEAD
    else:
        assert head == Head(mtime_ns=file.mtime_ns)
        assert served_flags(file) == file.flags
    assert is_by_content(file) == (file.ambiguous or file.mtime_ns < PINNED)


def test_another_content_of_the_same_size_and_second_is_ambiguous() -> None:
    other = replace(FILE, mtime_ns=PINNED, flags=10)
    assert is_ambiguous(other, FILE)
    assert is_ambiguous(FILE, replace(FILE, ambiguous=True))  # and it stays so
    assert not is_ambiguous(FILE, None)
    assert not is_ambiguous(FILE, FILE)
    assert not is_ambiguous(FILE, replace(FILE, flags=4))  # the same, stored in another form
    for before in (replace(other, size=13), replace(other, mtime_ns=PINNED - 1)):
        assert not is_ambiguous(FILE, before)
        assert not is_ambiguous(FILE, replace(before, ambiguous=True))


def test_of_what_had_no_page_no_content_is_known() -> None:
    assert not is_ambiguous(FILE, replace(FILE, flags=NO_PAGE))
    assert not is_ambiguous(replace(FILE, flags=NO_PAGE), FILE)
    assert is_ambiguous(FILE, replace(FILE, flags=NO_PAGE, ambiguous=True))
