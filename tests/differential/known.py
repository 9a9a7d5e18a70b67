"""What differs from plain nginx, and why: the one list. docs/architecture/parity.md shows it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from differential.servers import Answer, Request
from support.reader import READER

ALL = frozenset(("*",))
"""Every field."""

NONE: frozenset[str] = frozenset()
VALIDATORS = frozenset(("ETag", "Last-Modified"))
LENGTH = frozenset(("Content-Length", "Transfer-Encoding"))
CONDITIONS = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range")


@dataclass(frozen=True)
class Case:
    """A request, and what came."""

    request: Request
    ours: Answer
    static: Answer
    """Of plain nginx with gzip_static."""
    plain: Answer
    """Of plain nginx without compressed files."""
    again: Callable[[Request], Answer]
    """Asks where `ours` came from."""

    @property
    def is_hit(self) -> bool:
        """Whether memory answered."""
        return self.ours.source == "HIT"

    @property
    def theirs(self) -> Answer:
        """What `ours` should be: memory is measured by gzip_static, the disk by plain nginx.

        By Lua a page has the validators of its file, compressed or not, so what has a condition is
        measured by the file.
        """
        if self.is_hit and self.ours["status"] == 200 != self.plain["status"]:
            return self.static if self.static["status"] != 200 else self.plain
        return self.static if self.is_hit and self.ours["status"] == 200 else self.plain

    def unlike(self) -> frozenset[str]:
        """Return the fields of `ours` that are not as they should be."""
        return self.ours.unlike(self.theirs)

    def is_as_without(self, *headers: str) -> bool:
        """Whether one of `headers` was sent, and changed at most what is promised of ranges."""
        if not any(self.request.header(name) is not None for name in headers):
            return False
        other = self.again(self.request.without(*headers))
        return self.ours.unlike(other) <= {"Accept-Ranges"}


@dataclass(frozen=True)
class Known:
    """A difference that is known; both sentences go to the documentation."""

    what: str
    why: str
    explains: Callable[[Case], frozenset[str]]
    """Returns the fields in which a case may differ for it, none if it is not of this kind."""
    readers: tuple[str, ...] = ("lua", "memcached_pass")
    """Where a site is read so: `from_memory`."""


def _validators(case: Case) -> frozenset[str]:
    has = any(case.ours[name] is not None for name in VALIDATORS)
    return VALIDATORS if case.is_hit and not has else NONE


def _weak(case: Case) -> frozenset[str]:
    ours, plain = case.ours["ETag"], case.plain["ETag"]
    same = ours is not None and plain is not None and ours == "W/" + plain.removeprefix("W/")
    return frozenset(("ETag",)) if case.is_hit and same else NONE


def _by_content(case: Case) -> frozenset[str]:
    own = case.is_hit and (case.ours["ETag"] or "").removeprefix("W/").startswith('"m')
    if not own or case.ours["Last-Modified"] is not None:
        return NONE
    return ALL if case.theirs["status"] == 304 else VALIDATORS


def _vary(case: Case) -> frozenset[str]:
    said = case.is_hit and case.ours["status"] == 304 and case.ours["Vary"] == "Accept-Encoding"
    return frozenset(("Vary",)) if said else NONE


def _length(case: Case) -> frozenset[str]:
    ours = case.ours
    unpacked = case.is_hit and ours["Vary"] and ours["Content-Encoding"] is None
    return LENGTH if unpacked and ours["Content-Length"] is None else NONE


def _on_the_fly(case: Case) -> frozenset[str]:
    """nginx says that it might compress HTML of 20 bytes or more, and does for whom takes it."""
    ours, theirs = case.ours, case.theirs
    if not case.is_hit or "text/html" not in (theirs["Content-Type"] or ""):
        return NONE
    if ours["Vary"] is ours["Content-Encoding"] is None and theirs["Vary"] == "Accept-Encoding":
        weak = ours["ETag"] is not None and theirs["ETag"] == f"W/{ours['ETag']}"
        return LENGTH | {"Content-Encoding", "Vary"} | ({"ETag"} if weak else NONE)
    return NONE


GZIP = re.compile(r"(?i)(?:^|[ ,])gzip(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))")


def _whole(case: Case) -> frozenset[str]:
    if not GZIP.search(case.request.header("Accept-Encoding") or "") or case.ours["status"] != 200:
        return NONE
    if case.theirs["status"] in (206, 416) and case.is_as_without("Range"):
        return ALL
    if case.ours["Accept-Ranges"] is None and (case.is_hit or case.is_as_without("Range")):
        return frozenset(("Accept-Ranges",))
    return NONE


def _empty(case: Case) -> frozenset[str]:
    empty = [name for name in CONDITIONS if case.request.header(name) == ""]
    refused = case.is_hit and case.theirs["status"] == 412
    return ALL if refused and case.is_as_without(*empty) else NONE


REFUSED = re.compile(
    rb"(?s)/\.(?!well-known(?:/|\Z))[^/]"
    rb"|(?i:\.(?:php\d?|phtml|phar|phps|inc)(?:~|\.(?:bak|swp|orig|save))*\Z)"
)


def _refused(case: Case) -> frozenset[str]:
    refused = REFUSED.search(resolved(case.request.target)) and case.ours["status"] == 404
    return ALL if refused and case.theirs["status"] not in (400, 404) else NONE


def resolved(target: bytes) -> bytes:
    """Return the path that nginx makes of `target`, or one that is not refused."""
    target = re.sub(rb"(?i)^https?://[^/]*", b"", target)
    path = unquote_to_bytes(re.split(rb"[?#]", target, maxsplit=1)[0])
    parts: list[bytes] = []
    for part in re.split(rb"/+", path)[1:]:
        if part == b"..":
            del parts[-1:]
        elif part != b".":
            parts.append(part)
    return b"/" + b"/".join(parts)


ANY = (
    Known(
        "An answer from memory has no `ETag` and no `Last-Modified`.",
        "`memcached_pass` carries a body and one flag. So what has a condition is answered by the"
        " disk; the reader in Lua knows them.",
        _validators,
        ("memcached_pass",),
    ),
    Known(
        "A page that Lua sends compressed has the `ETag` of the file, as a weak one.",
        "So it fits what the disk said before and says after, compressed or not; plain nginx has"
        " for a .gz beside a file that one's own.",
        _weak,
        ("lua",),
    ),
    Known(
        "A page of a file from before 1980, or that had other content of the same size in the same"
        " second, has an `ETag` of its content, and no `Last-Modified`.",
        "Its time tells nothing: a visitor would keep an old page.",
        _by_content,
        ("lua",),
    ),
    Known(
        "A 304 says `Vary` where memory has the page compressed and its visitor takes no gzip.",
        "A 304 has to say it (RFC 9110, 15.4.5); nginx does not.",
        _vary,
        ("lua",),
    ),
    Known(
        "A compressed page that memory sends unpacked has no `Content-Length`.",
        "nginx unpacks it while it is sent. Lua keeps it unpacked.",
        _length,
        ("memcached_pass",),
    ),
    Known(
        "HTML that did not get smaller is not compressed while it is sent, and has no `Vary`.",
        "What the agent found not worth compressing is not tried again for each visitor.",
        _on_the_fly,
    ),
    Known(
        "To a client that names gzip, a page of `compress_types` that memory has is sent whole"
        " whatever range it asks for, and promises none, also where it is stored as it is; so is,"
        " from the disk, the rest of such a file (`bytes=N-`) without a validator.",
        "Before an answer nginx does not know whether memory has the page compressed, and the"
        " beginning may have come from memory: a range of the file would make it corrupt.",
        _whole,
    ),
    Known(
        "An empty `If-Match` or `If-Unmodified-Since` is no condition where memory answers; nginx"
        " says 412.",
        "nginx's variables do not tell an empty header from none.",
        _empty,
        ("memcached_pass",),
    ),
    Known(
        "What a site never publishes is 404: names that begin with a dot but for `.well-known`,"
        " and those that a script would have, or a backup of one; a directory of such a name, too,"
        " where it is asked for without its slash.",
        "On purpose.",
        _refused,
    ),
)


KNOWN = tuple(known for known in ANY if READER in known.readers)
"""Those of the reader that is tested."""


def explanations(case: Case) -> Iterator[tuple[Known, frozenset[str]]]:
    """Yield what is known that explains fields of `case`, and which of those that differ."""
    different = case.unlike()
    for known in KNOWN:
        explained = known.explains(case)
        if explained == ALL:
            explained = different
        if explained & different:
            yield known, explained & different


def unexplained(case: Case) -> frozenset[str]:
    """Return the fields of `case` in which it differs, and for no reason that is known."""
    return case.unlike().difference(*(fields for _, fields in explanations(case)))
