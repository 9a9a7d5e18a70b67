import pytest
from hypothesis import given
from hypothesis import strategies as st

from memfis.errors import MemfisError
from memfis.layout.heads import NOT_SAID, Head, decode_head, encode_head

TOKEN = b"!#$%&'*+-.^_`|~09AZaz"

names = (
    st.lists(st.sampled_from([TOKEN[at : at + 1] for at in range(len(TOKEN))]), min_size=1)
    .map(b"".join)
    .filter(lambda name: name.lower() not in NOT_SAID)
)
values = st.binary().filter(lambda value: not {0, 10, 13} & set(value))
seconds = st.integers(0, 2**36)
times: st.SearchStrategy[dict[str, int]] = st.just({}) | st.fixed_dictionaries(
    {"rendered": seconds}, optional={"lifetime": seconds}
)
heads = st.builds(
    lambda times, **more: Head(**times, **more),
    times,
    status=st.integers(200, 599),
    fields=st.lists(st.tuples(names, values)).map(tuple),
    mtime_ns=st.none() | st.integers(-(2**80), 2**80),
)


@given(heads)
def test_what_is_said_is_read_back(head: Head) -> None:
    assert decode_head(encode_head(head)) == head


@given(st.binary() | st.binary().map(lambda tail: b"1 200 - -\n" + tail))
def test_what_is_read_is_what_would_be_written(data: bytes) -> None:
    head = decode_head(data)
    assert head is None or encode_head(head) == data


def test_the_format() -> None:
    fields = ((b"Content-Type", b"text/html"), (b"Link", b"</a>; rel=x"), (b"Link", b"\xff: "))
    assert encode_head(Head(404, fields, 1795975439, mtime_ns=-1)) == (
        b"1 404 1795975439 -1.999999999\nContent-Type:text/html\nLink:</a>; rel=x\nLink:\xff: \n"
    )
    assert encode_head(Head()) == b"1 200 - -\n"
    assert encode_head(Head(rendered=1795975439, lifetime=60)) == b"1 200 1795975439+60 -\n"
    assert encode_head(Head(mtime_ns=0)) == b"1 200 - 0.000000000\n"
    assert encode_head(Head(mtime_ns=2**32 * 10**9 + 5)) == b"1 200 - 4294967296.000000005\n"


@pytest.mark.parametrize(
    "head",
    [
        Head(lifetime=60),
        Head(rendered=1, lifetime=-1),
        Head(fields=((b"X", b"a\r\nSet-Cookie: b"),)),
        Head(fields=((b"X", b"a\nY:b"),)),
        Head(fields=((b"X", b"a\rb"),)),
        Head(fields=((b"X", b"a\0b"),)),
        Head(fields=((b"", b"a"),)),
        Head(fields=((b"X Y", b"a"),)),
        Head(fields=((b"X:Y", b"a"),)),
        Head(fields=((b"X\n", b"a"),)),
        Head(fields=((b"\xc3\xa4", b"a"),)),
        Head(fields=((b"Transfer-Encoding", b"chunked"),)),
        Head(fields=((b"CONTENT-LENGTH", b"7"),)),
        Head(fields=((b"connection", b"close"),)),
        Head(fields=((b"Set-Cookie", b"a=b"),)),
        Head(status=100),
        Head(status=600),
        Head(status=-200),
        Head(rendered=-1),
        Head(rendered=10**12),
    ],
)
def test_what_no_head_may_say_is_refused(head: Head) -> None:
    with pytest.raises(MemfisError, match="no head can say"):
        encode_head(head)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1",
        b"2 200 - -\n",
        b"1 200 - -",
        b"1 200 - -\r\n",
        b"1  200 - -\n",
        b"1 200 - - \n",
        b"1 99 - -\n",
        b"1 2000 - -\n",
        b"1 200 01 -\n",
        b"1 200 +1 -\n",
        b"1 200 - 1\n",
        b"1 200 - 1.5\n",
        b"1 200 - -0.000000000\n",
        b"1 200 - 00.000000000\n",
        b"1 200 - 1.0000000000\n",
        "1 200 \u0661 -\n".encode(),
        b"1 200 - -\n\n",
        b"1 200 - -\nX\n",
        b"1 200 - -\nX:a",
        b"1 200 - -\n:a\n",
        b"1 200 - -\n X:a\n",
        b"1 200 - -\nX:a\n b\n",
        b"1 200 - -\nX:a\rY:b\n",
        b"1 200 - -\nX:a\0\n",
        b"1 200 - -\nX:a\r\n",
        b"1 200 - -\nKeep-Alive:5\n",
        b"1 200 - -\nContent-Encoding:gzip\n",
    ],
)
def test_what_is_not_a_head_is_none(data: bytes) -> None:
    assert decode_head(data) is None


def test_names_are_taken_apart_at_the_first_colon() -> None:
    assert decode_head(b"1 200 - -\nX:a:b\n") == Head(fields=((b"X", b"a:b"),))


def test_a_long_head_is_read_in_linear_time() -> None:
    data = b"1 200 - -\n" + b"X:" + b"a" * 1_000_000 + b"\n" + b"Y" * 1_000_000
    assert decode_head(data) is None
