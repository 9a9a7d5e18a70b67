"""What nginx tells of answers that PHP gave: one datagram each (`access_log syslog:`).

Anybody who may write to the socket can send one. So a hint says nothing but that a URL of a site
may be worth a look, and there are limits to how many are heard.
"""

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import NamedTuple

import msgspec

from memfis.layout.identity import page_of, target_of

LONGEST = 4096
"""Bytes of a datagram; what is longer is cut off, and is malformed then."""

RATE = 500.0
"""Hints a second that are heard of one site, in the long run."""

BURST = 2000.0
"""Hints that are heard at once."""

_FRAMING = re.compile(rb"<\d{1,3}>[^{]{0,300}?memfis: (\{.*\})\n?", re.DOTALL)


class Hint(NamedTuple):
    """What nginx tells of one answer of PHP's."""

    site: str
    path: bytes | None
    """The path that its page would be kept under; None: it is for nobody else."""
    kept_by: str = ""
    """The name of the cookie, or `:host`, that alone kept the visitor from memory, if one did."""
    proxy: str = ""
    """The address that X-Forwarded-Proto came from, if it is none of the site's proxies."""


class _Told(msgspec.Struct):
    site: str
    uri: str
    kept_by: str = ""
    proxy: str = ""


_decoder = msgspec.json.Decoder(_Told)


def read(datagram: bytes) -> Hint | None:
    """Return what `datagram` says, None when it is malformed.

    nginx writes bytes of a path that are not ASCII as they are, so each is taken for a character.
    """
    framed = _FRAMING.fullmatch(datagram)
    if framed is None:
        return None
    try:
        told = _decoder.decode(framed[1].decode("latin-1").encode())
        path = told.uri.encode("latin-1")
        if path and page_of(target_of(path)) != path:
            return None
        if told.proxy not in ("", "unix:"):
            ip_address(told.proxy)
    except (msgspec.MsgspecError, ValueError):
        return None
    return Hint(told.site, path or None, told.kept_by, told.proxy)


class Bucket:
    """Lets BURST through at once, and RATE a second in the long run; `clock` tells seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin full."""
        self._clock = clock
        self._held = BURST
        self._seen: float | None = None

    def let(self) -> bool:
        """Whether one more may pass."""
        now = self._clock()
        since = 0.0 if self._seen is None else now - self._seen
        self._held = min(BURST, self._held + since * RATE)
        self._seen = now
        if self._held < 1:
            return False
        self._held -= 1
        return True
