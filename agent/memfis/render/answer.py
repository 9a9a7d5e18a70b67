"""What an answer of the application says beside its body, for a reader that can say it again.

All of it (RFC 9111, section 3.1), but for what is of one connection, what nginx says itself, and
what is for caches in front of the application alone, which nginx does not tell visitors either.
"""

import time

import msgspec

from memfis.errors import MemfisError
from memfis.layout.heads import NOT_SAID, Head, encode_head
from memfis.layout.pages import Page
from memfis.layout.validators import content_etag
from memfis.render.rules import Fields, Refusal, values

OTHERS = frozenset({301, 302, 303, 307, 308, 404, 410})
"""Statuses but 200 that are kept, where the application says for how long."""

LONGEST = 16 * 1024
"""Bytes of a head. nginx itself takes 32 KiB of header fields from PHP (php_fastcgi.j2)."""

_OURS = NOT_SAID | {
    # of nginx itself, and what it promises of parts
    *(b"server", b"accept-ranges"),
    # the reader says it of what is compressed; no page varies by anything else (rules.py)
    b"vary",
}

_FOR_CACHES = (b"x-accel-", b"surrogate-control")


class Answer(msgspec.Struct, frozen=True):
    """What is kept beside the body."""

    head: bytes
    """The value of the head's item."""
    is_page: bool
    """Whether `memcached_pass` can send the body as a page, and not say anything wrong."""


def make_answer(
    status: int,
    fields: Fields,
    own: Fields,
    page: Page,
    size: int,
    *,
    is_page: bool,
    lifetime: int | None,
) -> Answer | Refusal:
    """Return what is kept of an answer whose body of `size` bytes became `page`, or why nothing is.

    `own`: the fields that nginx adds to every answer of the site, and so to one from memory too;
    `is_page`: see `Answer`; `lifetime`: how many seconds it is fresh, if it is kept for longer.
    """
    encodings = [each.lower() for each in values(fields, "content-encoding")]
    if any(each != "identity" for each in encodings):
        return Refusal("header content-encoding", ", ".join(encodings)[:100])
    if len(values(fields, "content-type")) > 1:
        return Refusal("Content-Type", "more than one")
    added = {(name.lower(), value) for name, value in own}
    said = [
        (name, value)
        for name, value in fields
        if (low := name.lower()) not in _OURS
        and not low.startswith(_FOR_CACHES)
        and (low == b"content-type" or (low, value) not in added)
    ]
    if status == 200 and not values(fields, "etag"):
        said.append((b"ETag", content_etag(page.flags, size)))
    try:
        head = encode_head(Head(status, tuple(said), int(time.time()), lifetime))
    except MemfisError:
        return Refusal("header that cannot be said again")
    if len(head) > LONGEST:
        return Refusal("header fields", f"larger than {LONGEST} bytes")
    return Answer(head, is_page)
