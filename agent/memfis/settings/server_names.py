"""Which of several sites answers for a host, as nginx decides ("Server names" of its docs)."""

import re
from collections.abc import Iterable

_EXACT, _LEADING, _TRAILING, _REGEX = range(4)

_NAMED = re.compile(r"\(\?<(?![=!])")
"""How a named group begins in PCRE, and not in Python."""


def fitness(names: Iterable[str], host: str) -> tuple[int, int] | None:
    """Return how well `names` fit `host`, the smaller the better; None: none of them does.

    A name itself comes before a wildcard, a leading star before a trailing one, a longer one before
    a shorter one, and all before regular expressions. Of PCRE what Python's `re` has is understood.
    """
    fitting = [found for name in names if (found := _fitness(name, host.lower())) is not None]
    return min(fitting, default=None)


def _fitness(name: str, host: str) -> tuple[int, int] | None:
    if name.startswith("~"):
        try:
            fits = re.search(_NAMED.sub("(?P<", name[1:]), host, re.IGNORECASE)
        except re.error:
            return None
        return (_REGEX, 0) if fits else None
    name = name.lower()
    if host == name.removeprefix("."):
        return _EXACT, 0
    if name.startswith((".", "*.")) and host.endswith(name.removeprefix("*")):
        return _LEADING, -len(name)
    if name.endswith(".*") and host.startswith(name[:-1]):
        return _TRAILING, -len(name)
    return None
