"""How visitors tell one content of a file from another: what the head of its page says.

nginx makes ETag and Last-Modified of a file's time and size, and so does the reader for the page of
one. But where a content was replaced by another of the same size in the same second, and where all
files have one time, as in what is built reproducibly (SOURCE_DATE_EPOCH, Nix, OSTree, zip), these
are the validators of other contents too: a visitor would keep an old page. There the head has an
ETag of the content in place of the time. No time and size give that one: nginx's have no `m`.
"""

from memfis.layout.heads import Head, encode_head, encode_time
from memfis.layout.pages import FINGERPRINT, NEEDS_HEAD, NO_PAGE
from memfis.layout.records import Entry

PINNED = 315_619_200 * 10**9
"""Nanoseconds: 1980-01-02 UTC. No file of today was changed before; a zip begins a day earlier."""


def content_etag(flags: int, size: int) -> bytes:
    """Return the ETag of a content of `size` bytes, whose page has the client flags `flags`."""
    return b'"m%x-%x"' % (flags & FINGERPRINT, size)


def is_by_content(entry: Entry) -> bool:
    """Whether the validators of the file `entry` are of its content."""
    return entry.ambiguous or entry.mtime_ns < PINNED


def served_flags(entry: Entry) -> int:
    """Return the client flags of page and head of the file `entry`, in a site that has heads."""
    return entry.flags | NEEDS_HEAD if is_by_content(entry) else entry.flags


def head_and_flags(entry: Entry) -> tuple[bytes, int]:
    """Return the value of the head of the page of the file `entry`, and `served_flags`."""
    if not is_by_content(entry):
        return encode_time(entry.mtime_ns), entry.flags
    head = Head(fields=((b"ETag", content_etag(entry.flags, entry.size)),))
    return encode_head(head), entry.flags | NEEDS_HEAD


def head_of_file(entry: Entry) -> bytes:
    """Return the value of the head of the page of the file `entry`."""
    return head_and_flags(entry)[0]


def is_ambiguous(entry: Entry, before: Entry | None) -> bool:
    """Whether size and second of the file `entry` were those of another content, too.

    `before`: what was recorded of the file until now.
    """
    return (
        before is not None
        and before.size == entry.size
        and before.mtime_ns // 10**9 == entry.mtime_ns // 10**9
        and (
            before.ambiguous
            or (
                not (before.flags | entry.flags) & NO_PAGE
                and (before.flags ^ entry.flags) & FINGERPRINT != 0
            )
        )
    )
