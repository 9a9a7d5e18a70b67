"""Which requests may share a page, and the path that it is kept under (docs/php.md, "Identity").

A page is for the requests with one target only (RFC 9112, section 3.2). So the path that it is kept
under tells the path of its target, but for the case of hexadecimal digits:

- A target that is *canonical*, which is how nearly all links are written, has the decoded path. It
  is the escaping of its own decoded form: what a path may hold as it is (pchar of RFC 3986, section
  3.3) stands as it is, and all else is escaped.
- A target that differs from that in escaped reserved characters only, as `/C%2B%2B`, is another one
  than `/C++` (RFC 3986, section 2.2), and applications link to it. It has the path as it was sent,
  with a slash in front: no decoded path begins with two. Its escapes have capital letters.

No other target is anybody else's: with empty segments or dots, an escaped slash, control character
or letter, a fragment, or bytes that should have been escaped. nginx decides the same:
templates/nginx/php_maps.j2.
"""

import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

_UNRESERVED = "A-Za-z0-9._~-"
_RESERVED = "!$&'()*+,;=:@"

PLAIN = f"[{_RESERVED}{_UNRESERVED}]"
"""What may stand in a segment as it is."""

ESCAPED = "%(?:2[0235]|3[CcEeFf]|5[B-Eb-e]|60|7[B-Db-d]|[89A-Fa-f][0-9A-Fa-f])"
"""What has to be escaped, but for control characters."""

CAPITAL = "%(?:2[0235]|3[CEF]|5[B-E]|60|7[B-D]|[89A-F][0-9A-F])"
"""The same, in capital letters."""

RESERVED = "%(?:2[146-9A-C]|3[ABD]|40)"
"""A reserved character that is escaped, though it need not be; in capital letters."""

SEGMENT = r"/(?!/|\.\.?(?:[/?]|\Z))"
"""The beginning of a segment, which is not empty but at the end, and is no dots."""

_MAY_BE_ESCAPED = re.compile(f"[{_RESERVED}]".encode("ascii"))
# No possessive quantifiers: on a group they match wrongly before Python 3.11.5 (CPython's issue
# 106052), and Debian 12 has 3.11.2. Each character fits in one way only, so nothing is slow.
_CANONICAL = re.compile(f"(?:{SEGMENT}(?:{PLAIN}|{ESCAPED})*)+".encode("ascii"))
_SPELLED = re.compile(f"(?:{SEGMENT}(?:{PLAIN}|{CAPITAL}|{RESERVED})*)+".encode("ascii"))


def page_of(target: bytes) -> bytes | None:
    """Return the path that the page of the request `target` is kept under, None: it is nobody's.

    What follows a question mark is left out: whether arguments select a page is not said here.
    Where nothing follows it, it is another target than without.
    """
    path, mark, arguments = target.partition(b"?")
    if mark and not arguments:
        return None
    if _CANONICAL.fullmatch(path):
        return unquote_to_bytes(path)
    return b"/" + path if _SPELLED.fullmatch(path) else None


def is_spelled(path: bytes) -> bool:
    """Whether `path`, that a page is kept under, is a target as it was sent."""
    return path.startswith(b"//")


def may_be_spelled(path: bytes) -> bool:
    """Whether pages of the decoded `path` may be kept under targets as they were sent, too."""
    return _MAY_BE_ESCAPED.search(path) is not None


def target_of(path: bytes) -> bytes:
    """Return the request target whose page is kept under `path`, percent-encoded."""
    if is_spelled(path):
        return path[1:]
    return quote_from_bytes(path, safe=f"/{_RESERVED}._~-").encode("ascii")


def decoded(path: bytes) -> bytes:
    """Return what nginx has in $uri where the page is asked for that is kept under `path`."""
    return unquote_to_bytes(path[1:]) if is_spelled(path) else path
