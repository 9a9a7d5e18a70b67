"""Which pages a purge is for: a path, a pattern with `*` and `**`, or a regular expression."""

import os
import re
import warnings
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from memfis.errors import UsageError
from memfis.layout.keys import normal_path
from memfis.render.paths import kept_at
from memfis.settings.values import Site

LONGEST = 1000
"""Characters of a regular expression at most."""

REPETITIONS = 3
"""`*` and `+` in a regular expression at most: each multiplies what one look at a path may take."""

_STARS = re.compile(r"(\*\*|\*)")
_PLAIN = re.compile(r"[A-Za-z0-9/_~%=@:,;!&' -]*")


class Pattern(NamedTuple):
    """What paths it fits, of those in nginx's $uri."""

    text: str
    exact: bytes | None
    """The one path, if it is for one."""
    prefix: bytes
    """What every such path begins with."""
    fits: Callable[[bytes], object]
    """Whether a path is one of them."""

    def may_hold(self, directory: bytes) -> bool:
        """Whether a page in `directory` (a path that ends with `/`), or below, may be one."""
        return directory.startswith(self.prefix) or self.prefix.startswith(directory)


EVERYTHING = Pattern("/**", None, b"/", lambda _: True)


def exactly(path: bytes) -> Pattern:
    """Return the pattern for `path` alone."""
    return Pattern(os.fsdecode(path), path, path, path.__eq__)


def as_kept(pattern: Pattern, site: Site) -> Pattern:
    """Return `pattern` for what nginx looks for: the page of an index file is its directory's."""
    return pattern if pattern.exact is None else exactly(kept_at(site, pattern.exact))


def parse(text: str) -> Pattern:
    """Return the pattern `text` of `memfis purge`; raises UsageError.

    A URL path, percent-encoded or not; `*` stands for anything within a part of the path, `**` for
    anything at all. A query and a fragment say nothing.
    """
    if not text.startswith("/"):
        raise UsageError(f"{text!r}: a pattern begins with '/'")
    text = text.partition("?")[0].partition("#")[0]
    if "*" not in text:
        return exactly(normal_path(text))
    expression = b""
    parts = _STARS.split(text)
    for part in parts:
        if part == "**":
            expression += b".*"
        elif part == "*":
            expression += b"[^/]*"
        else:
            expression += re.escape(unquote_to_bytes(os.fsencode(part)))
    if len(parts) // 2 > REPETITIONS:
        raise UsageError(f"{text!r}: more than {REPETITIONS} stars")
    prefix = unquote_to_bytes(os.fsencode(parts[0]))
    if parts[1:] == ["**", ""]:
        return Pattern(text, None, prefix, lambda path: path.startswith(prefix))
    return Pattern(text, None, prefix, re.compile(expression, re.DOTALL).fullmatch)


def parse_regex(text: str) -> Pattern:
    """Return the pattern for the path and regular expression `text`; raises UsageError.

    It fits a path that begins so, as Varnish has it. Groups cannot be repeated and there are few
    repetitions, so no expression takes long on a path of 250 bytes.
    """
    shown = repr(text[:100])
    text = unquote_to_bytes(os.fsencode(text)).decode("latin-1")
    if not text.startswith("/"):
        raise UsageError(f"{shown}: begins with '/'")
    if len(text) > LONGEST:
        raise UsageError(f"{shown}: longer than {LONGEST} characters")
    if re.search(r"\)[*+?{]|[*+?}][*+{]|(?<!\\)\{|\(\?|\\[1-9gAZz]", text):
        raise UsageError(f"{shown}: groups and repetitions cannot be repeated, or named")
    if len(re.findall(r"(?<!\\)[*+]", text)) > REPETITIONS:
        raise UsageError(f"{shown}: more than {REPETITIONS} repetitions")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what a later Python may read in another way
            expression = re.compile(text.encode("latin-1"), re.DOTALL)
    except (re.error, OverflowError, RecursionError, FutureWarning) as error:
        raise UsageError(f"{shown} does not parse: {error}") from error
    plain = _PLAIN.match(text)
    literal = (plain[0] if plain else "").encode("latin-1")
    if text.encode("latin-1") == literal + b".*":
        return Pattern(text, None, literal, lambda path: path.startswith(literal))
    # what follows the last plain character may make it optional, or an alternative
    return Pattern(text, None, b"/" if "|" in text else literal[:-1] or b"/", expression.match)
