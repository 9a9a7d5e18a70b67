from hypothesis import given
from hypothesis import strategies as st

from memfis.layout.records import HEADER, Entry, decode_log, encode_log, encode_records, tombstone

names = st.binary(min_size=1, max_size=255).map(lambda raw: raw.decode("latin-1"))
entries = st.builds(
    Entry,
    name=names,
    mode=st.integers(0, 0o177777),
    size=st.integers(0, 2**50),
    mtime_ns=st.integers(-(2**60), 2**62),
    uid=st.integers(0, 2**32 - 1),
    gid=st.integers(0, 2**32 - 1),
    target=st.none() | names,
    flags=st.integers(0, 2**32 - 1),
    origin=st.sampled_from(["file", "rendered"]),
)


@given(st.lists(entries, unique_by=lambda entry: entry.name))
def test_what_is_logged_is_read_back(given_entries: list[Entry]) -> None:
    log = decode_log(encode_log(given_entries))
    assert log is not None
    assert list(log.entries.values()) == given_entries


@given(st.lists(entries), st.lists(entries))
def test_the_last_record_of_a_name_wins(first: list[Entry], later: list[Entry]) -> None:
    log = decode_log(encode_log(first) + encode_records(later))
    assert log is not None
    assert log.entries == {entry.name: entry for entry in (*first, *later)}
    assert log.records == len(first) + len(later)


def test_a_tombstone_takes_a_name_out() -> None:
    data = encode_log([Entry("a", 0o100644), Entry("b", 0o100644)])
    log = decode_log(data + encode_records([tombstone("a")]))
    assert log is not None
    assert list(log.entries) == ["b"]


def test_a_log_that_lost_its_beginning_is_damaged() -> None:
    data = encode_log([Entry("a", 0o100644)])
    assert decode_log(data.removeprefix(HEADER)) is None


def test_a_log_with_something_else_in_it_is_damaged() -> None:
    assert decode_log(HEADER + b'{"not": "a record"}\n') is None
    assert decode_log(HEADER + b"\xff\xfe") is None


def test_names_with_any_byte_survive() -> None:
    raw = bytes(range(1, 256)).replace(b"/", b"")
    log = decode_log(encode_log([Entry(raw.decode("latin-1"), 0o100644)]))
    assert log is not None
    assert [entry.raw for entry in log.entries.values()] == [raw]
