"""Commands that come in thousands are what they are among others."""

from hypothesis import example, given
from hypothesis import strategies as st

from memfis.gateway import bulk, meta
from memfis.gateway.commands import Command, Failure

MAX = 20 * 1024 * 1024

keys = st.binary(max_size=260).map(lambda key: key.translate(None, b" \0") or b"k")
EDGES = (MAX, MAX + 1, (1 << 31) - 1, 1 << 31)
numbers = st.one_of(st.integers(0, 1 << 34), st.sampled_from(EDGES))
lines = st.one_of(
    st.builds(
        lambda key, *rest: b"ms %b %d F%d T%d q" % (key, *rest), keys, numbers, numbers, numbers
    ),
    st.builds(
        lambda key, flags: b"mg %b %b" % (key, flags),
        keys,
        st.sampled_from([b"f u", b"s f u", b"s f t u"]),
    ),
)


def described(command: Command) -> list[object]:
    names = ("key", "length", "quiet", "flags", "lane", "writes", "_mode")
    return [type(command), *(getattr(command, name, None) for name in names)]


@given(lines)
@example(b"ms k 00000005 F0 T0 q")
@example(b"ms k 5 F4294967295 T2147483647 q")
@example(b"ms k 5 F0 T4294967296 q")
@example(b"ms k 5 F0 T10000000000 q")
def test_a_command_is_the_same_by_either_way(line: bytes) -> None:
    command = bulk.parse(line, MAX)
    other = meta.parse([word for word in line.split(b" ") if word], MAX)
    if command is None:
        assert isinstance(other, Failure)
    else:
        assert described(command) == described(other)


def test_other_lines_are_left_to_others() -> None:
    for line in (
        *(b"ms k 5 F0 T-1 q", b"ms k 5 F0 T0", b"ms k 5 q F0 T0", b"ms k +5 F0 T0 q"),
        *(b"ms  k 5 F0 T0 q", b"mg k", b"mg k v", b"mg k s f u ", b"mg k\0 s f u", b"mn"),
    ):
        assert bulk.parse(line, MAX) is None
