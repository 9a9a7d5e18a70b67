"""Whether a shared cache may store an answer, and for how long (RFC 9111, sections 3 and 4.2).

Of what is said to caches in front of an application, the first that says something decides, and
those after it say nothing: `X-Accel-Expires`, `CDN-Cache-Control`, `Surrogate-Control`, then
`Cache-Control` and `Expires`. Set-Cookie and Vary keep a page out whatever they say.

Stricter than the RFCs in three things: only status 200 is stored, and others only where a lifetime
is named and the reader can say them; `private` and `no-cache` that name fields keep out the whole
answer, and a header that cannot be read keeps it out too.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from memfis.render.structured import dictionary

FOREVER = 366 * 24 * 3600
"""Seconds that a page lives at most, whatever it says (what is larger may be cut: 1.2.2)."""

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields as they came: names in any case, one pair a line."""


class Refusal(NamedTuple):
    """Why a page is not stored: the reason, to be counted, and what is particular in it."""

    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class Freshness(NamedTuple):
    """How long a page may be shown. Seconds from now."""

    lifetime: int
    """It is fresh so long."""
    stale: int | None
    """So long after that it may stay while its origin is in trouble; None: as the site says."""
    revalidate: int | None = None
    """So long after that it may stay while it is rendered again; None: as the site says."""


_STRICT = ("must-revalidate", "proxy-revalidate", "s-maxage", "no-cache", "no-store", "private")
"""Directives of Cache-Control that forbid to keep an answer, or to send a stale one (RFC 9111)."""

_DIRECTIVE = re.compile(
    r"""[ \t]*
    (?: (?P<name>[!\#$%&'*+.^_`|~0-9A-Za-z-]+)
        (?: [ \t]*=[ \t]*
            (?: "(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<plain>[^,"]*) )
        )?
    )?
    [ \t]*(?:,|\Z)""",
    re.VERBOSE,
)


class _Unreadable(ValueError):
    """A list of directives that does not parse."""


def directives(text: str) -> dict[str, list[str | None]]:
    """Return the directives of a Cache-Control field: names in lower case, values in their order.

    None: without a value. Raises ValueError for what does not parse (RFC 9111, 5.2; RFC 9110, 5.6).
    """
    found: dict[str, list[str | None]] = {}
    position = 0
    while position < len(text):
        match = _DIRECTIVE.match(text, position)
        if match is None or match.end() == position:
            raise _Unreadable(text)
        position = match.end()
        if match["name"] is None:
            continue  # an empty element (RFC 9110, 5.6.1)
        value = match["plain"] and match["plain"].strip()
        if match["quoted"] is not None:
            value = re.sub(r"\\(.)", r"\1", match["quoted"])
        found.setdefault(match["name"].lower(), []).append(value)
    return found


def values(fields: Fields, name: str) -> list[str]:
    """Return the value of each line of the field `name` (lower case)."""
    wanted = name.encode("ascii")
    return [value.decode("latin-1").strip() for key, value in fields if key.lower() == wanted]


def judge(
    status: int, fields: Fields, default: int, now: float, others: Collection[int] = ()
) -> Freshness | Refusal:
    """Return how long the answer to an anonymous GET may be stored, or why it may not.

    `default`: seconds of a page that names no lifetime; `now`: when the answer came, in seconds
    since the epoch; `others`: statuses but 200 that may be stored, if their lifetime is named.
    """
    if status in others:
        default = 0
    elif status != 200:
        return Refusal(f"status {status}")
    if values(fields, "set-cookie") or values(fields, "set-cookie2"):
        return Refusal("Set-Cookie")
    varying = [name for name in _list(values(fields, "vary")) if name != "accept-encoding"]
    if varying:
        return Refusal("Vary", ", ".join(varying)[:200])
    age = _age(fields, now)
    verdict = (
        _by_accel_expires(fields, now)
        or _by_cdn_cache_control(fields, default, age)
        or _by_surrogate_control(fields, age)
        or _by_cache_control(fields, default, now, age)
    )
    if isinstance(verdict, Freshness) and verdict.revalidate is None:
        # What decides does not mention it, so what else is said to caches counts.
        said = ", ".join(values(fields, "cache-control")).lower()
        if any(word in said for word in _STRICT):
            return verdict._replace(revalidate=0)
    return verdict


def _by_accel_expires(fields: Fields, now: float) -> Freshness | Refusal | None:
    """Return what X-Accel-Expires says: seconds from now, or `@` and seconds since the epoch.

    nginx's documentation of `proxy_cache_valid`: it counts before other fields, 0: do not keep.
    """
    lifetimes = []
    for text in values(fields, "x-accel-expires"):
        match = re.fullmatch(r"(@?)([0-9]+)", text)
        if match is None:
            return Refusal("X-Accel-Expires that cannot be read", text[:200])
        number = _number(match[2])
        lifetimes.append(number - now if match[1] else number)
    return _fresh(min(lifetimes), None) if lifetimes else None


def _by_cdn_cache_control(fields: Fields, default: int, age: float) -> Freshness | Refusal | None:
    """Return what CDN-Cache-Control says; empty, it says nothing (RFC 9213, section 2)."""
    lines = values(fields, "cdn-cache-control")
    try:
        control = dictionary(", ".join(filter(None, lines)))
    except ValueError:
        return Refusal("CDN-Cache-Control that cannot be read", ", ".join(lines)[:200])
    if not control:
        return None
    told = _told_lifetime(control)
    lifetime = default if told is None else told
    return _forbidden("CDN-Cache-Control", control) or _fresh(lifetime - age, *_stale(control))


def _by_surrogate_control(fields: Fields, age: float) -> Freshness | Refusal | None:
    """Return what Surrogate-Control says: W3C note Edge Architecture, section 2.3.

    `max-age=N+M`: fresh for N seconds, stale for M. What the note does not know says nothing, but
    that `private` and `no-cache` mean to surrogates of today what they mean in Cache-Control.
    """
    lines = values(fields, "surrogate-control")
    try:
        control = directives(", ".join(lines))
    except ValueError:
        return Refusal("Surrogate-Control that cannot be read", ", ".join(lines)[:200])
    refusal = _forbidden("Surrogate-Control", control)
    if refusal is not None or "max-age" not in control:
        return refusal
    parts = [(each or "").partition("+") for each in control["max-age"]]
    lifetime = min(_seconds(fresh) for fresh, _, _ in parts)
    extensions = [_seconds(stale) for _, plus, stale in parts if plus]
    on_error, revalidating = _stale(control)
    if extensions:
        on_error = min(extensions)
        revalidating = min(extensions) if revalidating is None else revalidating
    return _fresh(lifetime - age, on_error, revalidating)


def _by_cache_control(fields: Fields, default: int, now: float, age: float) -> Freshness | Refusal:
    """Return what Cache-Control, Pragma and Expires say (RFC 9111, section 5)."""
    lines = values(fields, "cache-control")
    try:
        control = directives(", ".join(lines))
    except ValueError:
        return Refusal("Cache-Control that cannot be read", ", ".join(lines)[:200])
    refusal = _forbidden("Cache-Control", control)
    if refusal is not None:
        return refusal
    if not lines and any("no-cache" in each.lower() for each in values(fields, "pragma")):
        return Refusal("Pragma: no-cache")
    told = _told_lifetime(control)
    lifetime = _until_expires(fields, default, now) if told is None else told
    return _fresh(lifetime - age, *_stale(control))


def _forbidden(field: str, control: dict[str, list[str | None]]) -> Refusal | None:
    """Return which of the directives of `field` keeps the answer out, None if none does."""
    for name in ("no-store", "no-store-remote", "private", "no-cache"):
        if name in control:
            return Refusal(f"{field}: {name}")
    return None


def _fresh(
    lifetime: float, stale: int | None, revalidate: int | None = None
) -> Freshness | Refusal:
    """Return the verdict for an answer that is fresh for `lifetime` seconds from now."""
    if lifetime < 1:
        return Refusal("expired")
    return Freshness(min(int(lifetime), FOREVER), stale, revalidate)


def _list(lines: Iterable[str]) -> list[str]:
    members = (member.strip().lower() for line in lines for member in line.split(","))
    return [member for member in members if member]


def _told_lifetime(control: dict[str, list[str | None]]) -> int | None:
    """Return the lifetime in seconds that directives name, None if none does (RFC 9111, 4.2.1)."""
    for name in ("s-maxage", "max-age"):
        if name in control:
            return min(map(_seconds, control[name]))
    return None


def _until_expires(fields: Fields, default: int, now: float) -> float:
    """Return the lifetime in seconds by Expires, `default` without it (RFC 9111, 4.2.1)."""
    expires = values(fields, "expires")
    if not expires:
        return default
    date = min((_date(each) for each in values(fields, "date")), key=_or_zero, default=None)
    ends = min((_date(each) for each in expires), key=_or_zero)
    if ends is None:
        return 0  # "especially the value 0" (RFC 9111, 5.3)
    return ends - (now if date is None else date)


def _seconds(text: str | None) -> int:
    """Return delta-seconds (RFC 9111, 1.2.2); what is none counts as expired (4.2.1)."""
    if text is None or not re.fullmatch(r"[0-9]+", text):
        return 0
    return min(_number(text), FOREVER)


def _number(digits: str) -> int:
    """Return the number, or one that is about as large as no time is: it may have any length."""
    return int(digits.lstrip("0")[:15] or "0")


def _or_zero(date: float | None) -> float:
    return 0 if date is None else date


def _date(text: str) -> float | None:
    """Return an HTTP-date (RFC 9110, 5.6.7) in seconds since the epoch, None for what is none."""
    try:
        found = parsedate_to_datetime(text)
        if found.tzinfo is None:  # asctime names no zone, and means GMT
            found = found.replace(tzinfo=UTC)
        return (found - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _age(fields: Fields, now: float) -> float:
    """Return how old the answer was when it came, in seconds (RFC 9111, 4.2.3)."""
    dates = [date for date in map(_date, values(fields, "date")) if date is not None]
    apparent = max([0.0, *(now - date for date in dates)])
    told = _list(values(fields, "age"))
    return max(apparent, _seconds(told[0]) if told else 0)


def _stale(control: dict[str, list[str | None]]) -> tuple[int | None, int | None]:
    """Return how long the page may be stale on errors, and while it is rendered again.

    RFC 9111, section 4.2.4; RFC 5861, sections 4 and 3.
    """
    if "must-revalidate" in control or "proxy-revalidate" in control:
        return 0, 0
    unsaid = 0 if "s-maxage" in control else None
    on_error, revalidating = (
        min(map(_seconds, control[name])) if name in control else unsaid
        for name in ("stale-if-error", "stale-while-revalidate")
    )
    return on_error, revalidating
