"""Visitors whom PHP answered: what kept them from memory, and whether they come through a proxy.

nginx tells of each such request (`memfis.nginx.hints`). Only names and addresses are counted, and
not many of them, as anybody may send a request with any cookie.
"""

import re
from collections.abc import MutableMapping

import msgspec

NAMES = 50
"""Different names, and addresses, that are counted; the others are counted together."""

OTHERS = "others"

ENOUGH = 20
"""Requests from which it can be said that nearly all of them come through one address."""

NEARLY_ALL = 0.9

_RANDOM = re.compile("[0-9a-f]{8,}|[0-9]{6,}")
"""What is another one for each visitor, or each site, in the name of a cookie."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
"""The name of a cookie (RFC 6265, section 4.1.1: a token)."""

ANOTHER_HOST = ":host"
"""What nginx says in the place of a cookie's name: another host or scheme was asked for."""


class Visitors(msgspec.Struct):
    """Counted since the agent began with the site."""

    answered: int = 0
    """Requests that PHP answered, and nginx told of."""
    cookies: dict[str, int] = msgspec.field(default_factory=dict)
    """Requests for pages of everybody that had a cookie of that name; `*`: digits of one's own."""
    elsewhere: int = 0
    """Requests for pages of everybody, but of another host or scheme than they are made for."""
    forwarded: dict[str, int] = msgspec.field(default_factory=dict)
    """Requests with X-Forwarded-Proto from an address that is none of the site's `proxies`."""

    def note(self, kept_by: str, proxy: str) -> None:
        """Count one request, of which nginx says what kept it from memory, if that was all."""
        self.answered += 1
        if kept_by == ANOTHER_HOST:
            self.elsewhere += 1
        elif kept_by:
            name = _RANDOM.sub("*", kept_by) if _NAME.fullmatch(kept_by) else OTHERS
            _count(self.cookies, name)
        if proxy:
            _count(self.forwarded, proxy)

    @property
    def unnamed_proxy(self) -> str | None:
        """The address that nearly all requests come through, and that says it forwards them."""
        address, number = max(self.forwarded.items(), key=lambda each: each[1], default=("", 0))
        if address == OTHERS or number < max(ENOUGH, NEARLY_ALL * self.answered):
            return None
        return address


def _count(counts: MutableMapping[str, int], name: str) -> None:
    if name not in counts and len(counts) >= NAMES:
        name = OTHERS
    counts[name] = counts.get(name, 0) + 1
