"""The head of a page: what an answer from memory says beside its body.

An item of its own, so that every page stays readable by nginx's `memcached_pass`, and only where
the page alone does not say enough: header fields of an application, a status other than 200, a
modification time that does not fit into a gzip header. Its client flags are those of its page; a
head whose flags are others belonged to another page, and is not used. One with a status other than
200 is the whole answer.

The value is text, made to be taken apart with few string operations: one line of fixed fields, then
a line for each header field, which no value can break (RFC 9110, section 5.5: no CR, LF, NUL).

    1 200 1795975439+60 -
    Content-Type:text/html; charset=utf-8
    Cache-Control:max-age=60

Version of the format, status, time of rendering, modification time; `-` where there is none. Behind
the time of rendering stands for how many seconds the page is fresh, where it stays for longer. The
modification time has its seconds before the point, rounded down, so that they can be read without
the rest: nanoseconds are more than a double, which is Lua's number, can hold.
"""

import re

import msgspec

from memfis.errors import MemfisError

NOT_SAID = frozenset(
    (
        # of one connection (RFC 9110, section 7.6.1)
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer"),
        *(b"transfer-encoding", b"upgrade"),
        # of the body in the form in which the reader sends it, and of the moment
        *(b"content-length", b"content-encoding", b"content-range", b"date", b"age"),
        # for one visitor
        b"set-cookie",
    )
)
"""Names, in lower case, of header fields that a head never has: the reader must not say them."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""What a name may be (RFC 9110, section 5.6.2)."""

_HEAD = re.compile(
    rb"1 ([2-5][0-9]{2}) (?:-|(0|[1-9][0-9]{0,11})(?:\+(0|[1-9][0-9]{0,11}))?)"
    rb" (?:-|(0|-?[1-9][0-9]{0,18})\.([0-9]{9}))\n"
    rb"((?:" + _TOKEN + rb":[^\r\n\0]*\n)*)"
)


class Head(msgspec.Struct, frozen=True):
    """What is said beside the body."""

    status: int = 200
    """200 to 599."""
    fields: tuple[tuple[bytes, bytes], ...] = ()
    """Header fields in their order, names and values as they were sent."""
    rendered: int | None = None
    """When the application answered, in seconds since the epoch, for Age; None: of a file."""
    lifetime: int | None = None
    """For how many seconds after `rendered` it is fresh; None: as long as it is there."""
    mtime_ns: int | None = None
    """Modification time of the file in nanoseconds since the epoch; None: the page has it."""


def encode_head(head: Head) -> bytes:
    """Return the value of the item that is `head`; raises MemfisError for what none can say."""
    rendered = b"-" if head.rendered is None else b"%d" % head.rendered
    if head.lifetime is not None:
        rendered += b"+%d" % head.lifetime
    mtime = b"-" if head.mtime_ns is None else b"%d.%09d" % divmod(head.mtime_ns, 10**9)
    lines = b"".join([b"%b:%b\n" % field for field in head.fields])
    data = b"1 %d %b %b\n%b" % (head.status, rendered, mtime, lines)
    if decode_head(data) != head:
        raise MemfisError(f"no head can say {head!r}")
    return data


def encode_time(mtime_ns: int) -> bytes:
    """Return `encode_head(Head(mtime_ns=mtime_ns))`, in a tenth of the time."""
    return b"1 200 - %d.%09d\n" % divmod(mtime_ns, 10**9)


def decode_head(data: bytes) -> Head | None:
    """Return the head that the value `data` is; None: damaged, or of a later version."""
    found = _HEAD.fullmatch(data)
    if found is None:
        return None
    status, rendered, lifetime, seconds, nanoseconds, lines = found.groups()
    fields = []
    for line in lines.split(b"\n")[:-1]:
        name, _, value = line.partition(b":")
        if name.lower() in NOT_SAID:
            return None
        fields.append((name, value))
    return Head(
        int(status),
        tuple(fields),
        None if rendered is None else int(rendered),
        None if lifetime is None else int(lifetime),
        None if seconds is None else int(seconds) * 10**9 + int(nanoseconds),
    )
