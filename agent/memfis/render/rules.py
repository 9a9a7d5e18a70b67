"""Whether a shared cache may store an answer, and for how long (RFC 9111, sections 3 and 4.2).

Stricter than the RFC in three things: only status 200 is stored, `private` and `no-cache` that name
fields keep out the whole answer, and a header that cannot be read keeps it out too.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

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


def judge(status: int, fields: Fields, default: int, now: float) -> Freshness | Refusal:
    """Return how long the answer to an anonymous GET may be stored, or why it may not.

    `default`: seconds of a page that names no lifetime; `now`: when the answer came, in seconds
    since the epoch.
    """
    if status != 200:
        return Refusal(f"status {status}")
    if values(fields, "set-cookie") or values(fields, "set-cookie2"):
        return Refusal("Set-Cookie")
    lines = values(fields, "cache-control")
    try:
        control = directives(", ".join(lines))
    except ValueError:
        return Refusal("Cache-Control that cannot be read", ", ".join(lines)[:200])
    for name in ("no-store", "private", "no-cache"):
        if name in control:
            return Refusal(f"Cache-Control: {name}")
    if not lines and any("no-cache" in each.lower() for each in values(fields, "pragma")):
        return Refusal("Pragma: no-cache")
    varying = [name for name in _list(values(fields, "vary")) if name != "accept-encoding"]
    if varying:
        return Refusal("Vary", ", ".join(varying)[:200])
    lifetime = _lifetime(control, fields, default, now) - _age(fields, now)
    if lifetime < 1:
        return Refusal("expired")
    return Freshness(min(int(lifetime), FOREVER), _stale(control))


def _list(lines: Iterable[str]) -> list[str]:
    members = (member.strip().lower() for line in lines for member in line.split(","))
    return [member for member in members if member]


def _lifetime(
    control: dict[str, list[str | None]], fields: Fields, default: int, now: float
) -> float:
    """Return the freshness lifetime in seconds (RFC 9111, 4.2.1)."""
    for name in ("s-maxage", "max-age"):
        if name in control:
            return min(map(_seconds, control[name]))
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
    return min(int(text[:12]), FOREVER) if len(text) <= 12 else FOREVER


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


def _stale(control: dict[str, list[str | None]]) -> int | None:
    """Return how long the page may be stale on errors (RFC 9111, 4.2.4; RFC 5861, section 4)."""
    if "must-revalidate" in control or "proxy-revalidate" in control:
        return 0
    if "stale-if-error" in control:
        return min(map(_seconds, control["stale-if-error"]))
    return 0 if "s-maxage" in control else None
