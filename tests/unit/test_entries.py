from typing import Literal

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

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
    racy=st.booleans(),
    extended=st.sampled_from([None, {}, {"user.a": "\xff", "user.b": ",0,0,[]]"}]),
    ctime_ns=st.sampled_from([0, 1]) | st.integers(-(2**60), 2**62),
    inode=st.sampled_from([0, 2**64 - 1]),
    tags=st.sampled_from([(), ("",), ("post-7", "ä\n"), ("]\n", ",0,0,[]]\n", "],false]\n")]),
    ambiguous=st.booleans(),
)


class EntryOfVersion010(msgspec.Struct, frozen=True, array_like=True):
    """A record as version 0.1.0 reads and writes it."""

    name: str
    mode: int | None = None
    size: int = 0
    mtime_ns: int = 0
    uid: int = 0
    gid: int = 0
    target: str | None = None
    flags: int = 0
    origin: Literal["file", "rendered"] = "file"
    racy: bool = False
    extended: dict[str, str] | None = None


OLD = msgspec.json.Decoder(EntryOfVersion010)


def as_old(entry: Entry) -> EntryOfVersion010:
    fields = EntryOfVersion010.__struct_fields__
    return EntryOfVersion010(*(getattr(entry, field) for field in fields))


def without_new(entry: Entry) -> Entry:
    return replace(entry, ctime_ns=0, inode=0, tags=(), ambiguous=False)


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


@given(st.lists(entries))
def test_an_older_version_reads_what_it_has_fields_for(given_entries: list[Entry]) -> None:
    data = encode_records(given_entries)
    assert OLD.decode_lines(data) == [as_old(entry) for entry in given_entries]


@given(st.lists(entries))
def test_without_its_last_fields_a_record_is_as_an_older_version_writes_it(
    given_entries: list[Entry],
) -> None:
    plain = [without_new(entry) for entry in given_entries]
    old = msgspec.json.Encoder().encode_lines([as_old(entry) for entry in plain])
    assert encode_records(plain) == old
    log = decode_log(HEADER + old)
    assert log is not None
    assert log.entries == {entry.name: entry for entry in plain if entry.mode is not None}


def test_a_log_of_version_0_1_0_is_read() -> None:
    """Its bytes, as that version wrote them."""
    log = decode_log(
        b'{"memfis":"directory","layout":1}\n'
        b'["a.html",33188,12,1700000000123456789,1000,33,null,3735928558,"file",false,null]\n'
        b'["b.html",33188,7,1,0,0,null,4,"file",true,{"user.x":"\xc3\xbf"}]\n'
        b'["/",33188,9,1,0,0,null,8,"rendered",false,{"memfis.no-stale":""}]\n'
        b'["b.html",null,0,0,0,0,null,0,"file",false,null]\n'
    )
    page = Entry("/", 0o100644, 9, 1, flags=8, origin="rendered", extended={"memfis.no-stale": ""})
    file = Entry("a.html", 0o100644, 12, 1700000000123456789, 1000, 33, flags=3735928558)
    assert log is not None
    assert log.entries == {"a.html": file, "/": page}
    assert (log.records, file.ctime_ns, file.inode, page.tags) == (4, 0, 0, ())


def test_fields_are_left_out_only_at_the_end() -> None:
    entry = Entry("a", 0o100644)
    assert encode_records([replace(entry, ctime_ns=5, inode=6)]).endswith(b"null,5,6]\n")
    assert encode_records([replace(entry, inode=6)]).endswith(b"null,0,6]\n")
    assert encode_records([replace(entry, ctime_ns=5)]).endswith(b"null,5,0]\n")
    assert encode_records([replace(entry, tags=("",))]).endswith(b'null,0,0,[""]]\n')
    assert encode_records([replace(entry, inode=6, tags=("a",))]).endswith(b'null,0,6,["a"]]\n')
    assert encode_records([replace(entry, ambiguous=True)]).endswith(b"null,0,0,[],true]\n")
    name = "b,0,0,[]]"
    assert encode_records([Entry(name, 1, target=name)]).endswith(b'"file",false,null]\n')
