"""Dictionaries of structured fields (RFC 8941, section 3.2), as cache directives use them."""

import re

_KEY = r"[a-z*][a-z0-9_.*-]*"
_BARE = r"""(?:
    -?[0-9]{1,15} (?![0-9.])                        # an integer
    | -?[0-9]{1,12}\.[0-9]{1,3} (?![0-9.])           # a decimal
    | "(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"    # a string
    | [A-Za-z*][!\#$%&'*+.^_`|~0-9A-Za-z:/-]*        # a token
    | :[A-Za-z0-9+/=]*:                             # bytes
    | \?[01]                                        # a boolean
)"""
_PARAMETERS = rf"(?: ; [ ]* {_KEY} (?:={_BARE})? )*"
_MEMBER = re.compile(
    rf"""(?P<key>{_KEY})
    (?: = (?: (?P<value>{_BARE}) | \([ ]*(?:{_BARE}{_PARAMETERS}(?:[ ]+|(?=\))))*\) ) )?
    {_PARAMETERS}
    (?: [ \t]*,[ \t]*(?!\Z) | \Z )""",
    re.VERBOSE,
)


def dictionary(text: str) -> dict[str, list[str | None]]:
    """Return the members of the dictionary `text`: of each key all values in their order.

    A value is what stands there, a string with its quotes; None: without one, or a list. Parameters
    are left out, as RFC 9213, section 2.1 wants it. Raises ValueError for what does not parse (RFC
    8941, section 4.2.2). Of a key that is there twice the last would count; who calls may be
    stricter.
    """
    text = text.strip(" ")
    found: dict[str, list[str | None]] = {}
    position = 0
    while position < len(text):
        match = _MEMBER.match(text, position)
        if match is None:
            raise ValueError(text)
        position = match.end()
        found.setdefault(match["key"], []).append(match["value"])
    return found
