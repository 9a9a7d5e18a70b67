"""Each module of lua/memfis alone, in a worker of nginx, against what it has to be like."""

import gzip
import random
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memfis.layout import keys
from memfis.layout.heads import NOT_SAID, Head, decode_head, encode_head

from .conftest import Run

slowly = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

HEAD = """
local head = require("memfis.head").parse(...)
if not head then
    return "none"
end
local told = { head.status, head.rendered or "-", head.lifetime or "-" }
told[4], told[5] = head.modified or "-", head.etag or "-"
for place = 1, #head.fields, 2 do
    local values = head.fields[place + 1]
    for _, value in ipairs(type(values) == "table" and values or { values }) do
        told[#told + 1] = head.fields[place]
        told[#told + 1] = value
    end
end
return table.concat(told, "\\1")
"""

_NAMES = st.text("ABCdef-!#$%&'*+.^_`|~09", min_size=1).map(str.encode)
_VALUES = st.binary().filter(lambda value: not {0, 1, 10, 13} & set(value))
_SECONDS = st.integers(0, 2**36)
_TIMES: st.SearchStrategy[dict[str, int]] = st.just({}) | st.fixed_dictionaries(
    {"rendered": _SECONDS}, optional={"lifetime": _SECONDS}
)
_HEADS = st.builds(
    lambda times, **more: Head(**times, **more),
    _TIMES,
    status=st.integers(200, 599),
    fields=st.lists(st.tuples(_NAMES | st.just(b"ETag"), _VALUES)).map(tuple),
    mtime_ns=st.none() | st.integers(-(10**10) * 10**9, 10**11 * 10**9),
)


def told(head: Head | None) -> bytes:
    """Return what HEAD says of `head`."""
    if head is None:
        return b"none"
    etags = [value for name, value in head.fields if name.lower() == b"etag"]
    words = [
        b"%d" % head.status,
        b"-" if head.rendered is None else b"%d" % head.rendered,
        b"-" if head.lifetime is None else b"%d" % head.lifetime,
        b"-" if head.mtime_ns is None else b"%d" % (head.mtime_ns // 10**9),
        etags[-1] if etags else b"-",
    ]
    names: dict[bytes, bytes] = {}
    lines: dict[bytes, list[bytes]] = {}
    for name, value in head.fields:
        if name.lower() != b"etag":
            names.setdefault(name.lower(), name)
            lines.setdefault(name.lower(), []).append(value)
    # All of one name where the first of them was.
    fields = [part for name in names for value in lines[name] for part in (names[name], value)]
    return b"\1".join(words + fields)


@given(_HEADS)
@slowly
def test_head_is_read_as_it_was_written(run: Run, head: Head) -> None:
    if not any(name.lower() in NOT_SAID for name, _ in head.fields):
        assert run(HEAD, encode_head(head)) == told(head)


@given(_HEADS, st.data())
@slowly
def test_damaged_head_is_read_as_python_reads_it(run: Run, head: Head, data: st.DataObject) -> None:
    if any(name.lower() in NOT_SAID for name, _ in head.fields):
        return
    text = bytearray(encode_head(head))
    place = data.draw(st.integers(0, len(text) - 1))
    text[place : place + data.draw(st.integers(0, 3))] = data.draw(
        st.sampled_from([b"", b"\n", b"\r\n", b":", b" ", b"-", b"0", b"\0", b"9", b"X"])
    )
    if 1 in set(text):
        return
    found = decode_head(bytes(text))
    # Numbers that only Python can hold are none to Lua.
    if found and abs(found.mtime_ns or 0) >= 10**21:
        found = None
    assert run(HEAD, bytes(text)) == told(found)


@pytest.mark.parametrize("name", sorted(NOT_SAID))
def test_head_that_says_what_is_the_readers_to_say_is_none(run: Run, name: bytes) -> None:
    for each in (name, name.upper(), name.title()):
        assert run(HEAD, b"1 200 - -\n" + each + b":1\n") == b"none"
    assert run(HEAD, b"1 200 - -\nX-" + name + b":1\n") != b"none"


@given(st.binary(max_size=5000), st.integers(0, 9))
@slowly
def test_what_was_compressed_is_unpacked(run: Run, content: bytes, level: int) -> None:
    unpack = 'local gzip = require("memfis.gzip"); return gzip.unpack(..., gzip.size(...))'
    assert run(unpack, gzip.compress(content, level)) == content


def test_what_is_no_whole_gzip_stream_is_not_unpacked(run: Run) -> None:
    unpack = """
local gzip = require("memfis.gzip")
local size = gzip.size(...)
return size and size < 2 ^ 20 and gzip.unpack(..., size) or "damaged"
"""
    content = random.Random(7).randbytes(300) * 3
    packed = gzip.compress(content)
    damaged = [packed[:length] for length in range(len(packed))]
    damaged += [
        packed[:at] + bytes([packed[at] ^ 1]) + packed[at + 1 :] for at in range(len(packed))
    ]
    damaged += [packed + b"x", packed + packed, b""]
    for each in damaged:
        try:
            whole = zlib.decompressobj(31)
            expected = whole.decompress(each)
            intact = whole.eof and not whole.unused_data
        except zlib.error:
            intact = False
        assert run(unpack, each) == (expected if intact else b"damaged")


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        *(("gzip", True), ("GZIP", True), ("deflate, gzip", True), ("gzip;q=0.5", True)),
        *(("gzip;q=0", False), ("gzip; q=0.000", False), ("br", False), ("xgzip", False)),
        *(("gzip;q=2", False), ("gzip;q=1.5", False), ("gzip;q=1.000,x", True), ("gzipx", False)),
        *(("gzip;q=0.001", True), ("deflate,gzip;q=0, br", False), ("*", False), ("", False)),
    ],
)
def test_who_takes_gzip(run: Run, accepted: str, taken: bool) -> None:
    code = 'return tostring(require("memfis.gzip").is_taken(...))'
    assert run(code, accepted.encode()) == str(taken).lower().encode()


@given(st.binary(min_size=1, max_size=60).map(lambda path: b"/" + path))
@slowly
def test_keys_and_their_counters_are_those_of_the_agent(run: Run, path: bytes) -> None:
    code = """
local key = require("memfis.store").escaped(...)
return key .. " " .. require("memfis.counters").number(key)
"""
    key = keys.page_key("site.example", path)
    assert run(code, b"memfis://site.example" + path) == key + b" %d" % (zlib.crc32(key) % 4096)


@given(
    st.binary(min_size=1, max_size=60).map(lambda path: b"/" + path * 5),
    st.sampled_from([b"", b"/", b"/index.html", b"/xindex.html", b"/index.htm"]),
)
@slowly
def test_what_is_asked_for_has_the_key_that_the_agent_gives_it(
    run: Run, path: bytes, end: bytes
) -> None:
    """Of a site with an index, of one without, and of one that PHP renders."""
    code = """
local key = require("memfis.store").key
local asked = ...
local found = { key(asked, "index.html") or "nil", key(asked, "") or "nil", key(asked) or "nil" }
return table.concat(found, " ")
"""
    path += end

    def expected(path: bytes) -> bytes:
        key = keys.page_key("site.example", path)
        return key if len(key) <= keys.KEY_LIMIT else b"nil"

    directory, _, name = path.rpartition(b"/")
    assert run(code, b"memfis://site.example" + path).split(b" ") == [
        expected(directory + b"/" if name == b"index.html" else path),
        b"nil" if path.endswith(b"/") else expected(path),
        expected(path),
    ]


def test_generations_hold_no_more_than_their_limit(run: Run) -> None:
    code = """
local kept = require("memfis.generations").new(1000, function(value) return #value end)
for round = 1, 200 do
    kept:put("k" .. round % 37, ("x"):rep(round * 13 % 450))
    kept:get("k" .. round * 7 % 37)
    local bytes = 0
    for _, table in ipairs({ kept.young, kept.old }) do
        for _, value in pairs(table) do
            bytes = bytes + #value
        end
    end
    assert(bytes <= 1000, bytes)
end
kept:put("large", ("x"):rep(501))
assert(kept:get("large") == nil)
kept:put("a", "1")
for number = 1, 10 do
    assert(kept:get("a") == "1", "used again and again it stays")
    kept:put("b" .. number, ("x"):rep(300))
end
local value = { size = 10 }
local other = require("memfis.generations").new(1000, function(each) return each.size end)
for _ = 1, 100 do
    other:put("same", value)
end
assert(other.held == 10, "what is kept again counts once")
value.size = 400
other:put("same", value)
other:put("b", { size = 200 })
assert(other.young.same == nil and other.held == 200, "what has grown counts as it is")
return "held"
"""
    assert run(code) == b"held"


def test_entries_are_shared_as_they_are(run: Run) -> None:
    code = """
local entries = require("memfis.entry")
local flat
function flat(list)
    local texts = {}
    for place, each in ipairs(list) do
        texts[place] = type(each) == "table" and flat(each) or each
    end
    return "(" .. table.concat(texts, "|") .. ")"
end
local function same(page, head)
    local entry = assert(entries.make(page, head, 7, 1234.5))
    assert(entries.decode(entries.encode(entry), 8) == nil)
    local other = entries.decode(entries.encode(entry), 7)
    for name, value in pairs(entry) do
        if type(value) == "table" then
            assert(flat(value) == flat(other[name]), name)
        else
            assert(other[name] == value, name)
        end
    end
    entry.asked = 1200
    assert(entries.decode(entries.encode(other), 7, entry) == entry and entry.asked == 1234.5)
    local others = { cas = "2", head_cas = "3", flags = 16, counter = 6, apart = not entry.apart }
    for name, value in pairs(others) do
        local before = entry[name]
        entry[name] = value
        assert(entries.decode(entries.encode(other), 7, entry) ~= entry, name)
        entry[name] = before
    end
end
local head = { value = "1 200 - 1700000000.5\\n", flags = 8, cas = "18446744073709551615" }
head.value = "1 200 - 1700000000.500000000\\nX-A:1\\nX-A:2\\n"
same({ value = "body\\n1 200", flags = 8, cas = "9007199254740993" }, head)
same({ value = "", flags = 8, cas = "1" }, nil)
same({ value = "lost", flags = 8, cas = "1", apart = true }, head)
same({ value = "body", flags = 12, cas = "1" }, head)
local packed = ...
same({ value = packed, flags = 10, cas = "1" }, { value = head.value, flags = 10, cas = "4" })
return "same"
"""
    assert run(code, gzip.compress(b"content" * 100)) == b"same"
