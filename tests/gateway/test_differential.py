"""The gateway answers as memcached does, byte for byte.

Left out, as docs/gateway.md says: what memcached itself does with the body after a line that it
refuses (it takes it for commands), flags over 32 bits, `me`, `h` and `l`; and what
`version` says.
"""

import os
import re
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.gateway import Gateway
from support.memcached import Memcached
from support.raw import Raw

EXAMPLES = int(os.environ.get("MEMFIS_GATEWAY_EXAMPLES", "50"))
"""How many random sequences are compared."""

CAS = b"{cas}"
"""Stands for the last CAS value that a server told."""

_TOLD = re.compile(rb"^(?:VALUE \S+ \d+ \d+ |(?:HD|VA).* c)(\d+)", re.M)
_CAS = re.compile(rb"(?<=\bc)\d+|(?<=^VALUE )(\S+ \d+ \d+) \d+", re.M)
_TTL = re.compile(rb"\bt\d+")

keys = st.sampled_from([b"a", b"b", b"memfis://s/c", b"k" * 250, b"caf\xe9"])
numbers = st.sampled_from([b"0", b"1", b"7", b"18446744073709551615", b"-1", b"x", b"99999999999"])
values = st.one_of(
    st.binary(max_size=40).filter(lambda value: b"MN\r\n" not in value),
    st.sampled_from([b"10", b"0", b"18446744073709551615", b"7 ", b"x" * 5000]),
)
exptimes = st.sampled_from(
    [
        *(b"0", b"0", b"0", b"100", b"-1", b"2592001", b"4000000", b"4294967296", b"4294967396"),
        *(b"2147483648", b"-4294967296", b"9223372036854775807", b"-9223372036854775808"),
    ]
)
flags = st.sampled_from([b"0", b"2", b"4294967295"])
noreply = st.sampled_from([b"", b"", b"", b" noreply"])
mistakes = st.sampled_from(
    [
        *(b"", b" ", b"foo", b"GET a", b"get", b"gets", b"gat", b"gat a", b"gat 0", b"set", b"mg"),
        *(b"get %b" % (b"k" * 251), b"get a %b" % (b"k" * 251), b"delete %b" % (b"k" * 251)),
        *(b"set a 0 0", b"set a 0 0 x", b"set a 0 0 -1", b"set a 0 0 1 2 3", b"cas a 0 0 1"),
        *(b"delete", b"delete a 1", b"delete a 0", b"delete a b c", b"incr", b"incr a"),
        *(b"incr a x", b"touch", b"touch a", b"touch a x", b"mg a *", b"mg a v v", b"mg a Tx"),
        *(b"mg %b v" % (b"k" * 251), b"mg a O%b" % (b"o" * 32), b"ms", b"ms a", b"ms a x"),
        *(
            b"ma",
            b"ma a *",
            b"ma a v v",
            b"ma %b" % (b"k" * 251),
            b"md",
            b"md a *",
            b"md a q q",
            b"md a Cx",
            b"verbosity",
            b"verbosity x",
            b"stats foo",
        ),
        *(
            b"cache_memlimit",
            b"slabs",
            b"lru",
            b"refresh_certs",
            b"misbehave",
            b"stats detail dump",
        ),
        *(b"stats cachedump", b"stats cachedump x 1", b"stats cachedump 64 0", b"stats sizes"),
        *(b"stats extstore", b"stats cachedump 1 -1", b"stats proxy", b"extstore x"),
        *(b"flush_all x", b"lru_crawler", b"touch a 9223372036854775808", b"mg a T-x"),
    ]
)
mg_flags = st.lists(
    st.sampled_from(
        [b"v", b"s", b"f", b"c", b"t", b"u", b"q", b"k", b"Oxy", b"T0", b"T200", b"T4294967496"]
    ),
    unique_by=lambda flag: flag[:1],
    max_size=7,
)


def one_mistake(flags: list[bytes]) -> bool:
    """Whether at most one of `flags` cannot be: which of two is told first is nobody's business."""
    return sum(flag in (b"MX", b"MAB", b"Fx") for flag in flags) < 2


ms_flags = st.lists(
    st.sampled_from(
        [
            *(b"c", b"q", b"k", b"O7", b"F5", b"T0", b"T100", b"T-1", b"C" + CAS, b"C1", b"C0"),
            *(b"ME", b"MA", b"MP", b"MR", b"MS", b"MX", b"MAB", b"Fx"),
        ]
    ),
    unique_by=lambda flag: flag[:1],
    max_size=5,
).filter(one_mistake)
md_flags = st.lists(
    st.sampled_from([b"q", b"k", b"O7", b"C" + CAS, b"C1", b"C0"]),
    unique_by=lambda flag: flag[:1],
    max_size=3,
)
ma_flags = st.lists(
    st.sampled_from(
        [
            *(b"q", b"k", b"O7", b"c", b"t", b"v", b"N0", b"N100", b"N-1", b"T0", b"T200", b"T-1"),
            *(b"J5", b"J18446744073709551615", b"D3", b"D18446744073709551615", b"C" + CAS, b"C1"),
            *(b"C0", b"MI", b"M+", b"MD", b"M-", b"MX", b"MII", b"Dx", b"Jx", b"Nx"),
        ]
    ),
    unique_by=lambda flag: flag[:1],
    max_size=6,
)


@st.composite
def stored(draw: Callable[..., bytes]) -> bytes:
    """Return a command with a value, whose end may be wrong."""
    value = draw(values)
    verb = draw(
        st.sampled_from([b"set", b"set", b"add", b"replace", b"append", b"prepend", b"cas"])
    )
    token = b" " + draw(st.sampled_from([CAS, CAS, b"1", b"0"])) if verb == b"cas" else b""
    line = b"%b %b %b %b %d" % (verb, draw(keys), draw(flags), draw(exptimes), len(value))
    return line + token + draw(noreply) + b"\r\n" + value + b"\r\n"


@st.composite
def meta_stored(draw: Callable[..., bytes]) -> bytes:
    """Return an `ms`."""
    value = draw(values)
    words = (b"ms", draw(keys), b"%d" % len(value), *draw(ms_flags))
    return b" ".join(words) + b"\r\n" + value + b"\r\n"


def line(*parts: "st.SearchStrategy[bytes] | bytes") -> "st.SearchStrategy[bytes]":
    words = [part if isinstance(part, st.SearchStrategy) else st.just(part) for part in parts]
    return st.tuples(*words).map(lambda each: b"".join(each) + b"\r\n")


commands = st.one_of(
    stored(),
    stored(),
    meta_stored(),
    line(st.sampled_from([b"get ", b"gets "]), st.lists(keys, min_size=1).map(b" ".join)),
    line(st.sampled_from([b"gat ", b"gats "]), exptimes, b" ", keys),
    line(st.sampled_from([b"incr ", b"decr "]), keys, b" ", numbers, noreply),
    line(b"delete ", keys, noreply),
    line(b"touch ", keys, b" ", exptimes, noreply),
    line(b"mg ", keys, b" ", mg_flags.map(b" ".join)),
    line(b"md ", keys, b" ", md_flags.map(b" ".join)),
    line(b"ma ", keys, b" ", ma_flags.map(b" ".join)),
    line(mistakes),
)


class Server:
    """A server, and the last CAS value that it told."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self._cas = b"1"

    def ask(self, command: bytes) -> bytes:
        """Return the answer without what differs by nature: CAS values, and seconds that passed."""
        answer = self._raw.ask(command.replace(CAS, self._cas))
        for told in _TOLD.findall(answer):
            if told != b"0":
                self._cas = told
        answer = _CAS.sub(lambda found: found[1] + b" #" if found[1] else b"#", answer)
        return _TTL.sub(b"t#", answer)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(commands, min_size=1, max_size=25))
def test_answers_are_equal(gateway: Gateway, memcached: Memcached, sequence: list[bytes]) -> None:
    with Raw(gateway.socket) as one, Raw(memcached.socket) as other:
        ours, theirs = Server(one), Server(other)
        for server in (ours, theirs):
            assert server.ask(b"flush_all\r\n") == b"OK\r\n"
        for number, command in enumerate(sequence):
            answer = ours.ask(command), theirs.ask(command)
            assert answer[0] == answer[1], (number, command)


@settings(
    max_examples=EXAMPLES // 2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(commands, min_size=1, max_size=40), st.lists(st.integers(1, 400), max_size=10))
def test_commands_sent_at_once_in_any_pieces_are_answered_in_order(
    gateway: Gateway, sequence: list[bytes], pieces: list[int]
) -> None:
    sequence = [each.replace(CAS, b"1") for each in sequence]
    with Raw(gateway.socket) as one:
        one.ask(b"flush_all\r\n")
        single = b"".join(one.ask(command) for command in sequence)
        one.ask(b"flush_all\r\n")
        rest = b"".join(sequence)
        for length in pieces:
            one.send(rest[:length])
            rest = rest[length:]
        together = one.ask(rest)
    assert _CAS.sub(b"#", together) == _CAS.sub(b"#", single)
