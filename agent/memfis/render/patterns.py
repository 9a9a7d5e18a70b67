"""Which pages a purge is for: a path, a pattern with `*` and `**`, or a regular expression.

Patterns are compared with the decoded paths of pages, by RE2: it takes time that is linear in the
length of a path, whatever the expression is.
"""

import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from memfis.errors import UsageError
from memfis.layout.identity import decoded, may_be_spelled
from memfis.layout.keys import normal_path
from memfis.layout.paths import shown
from memfis.settings.values import Site

LONGEST = 1000
"""Bytes of a pattern or regular expression at most."""

MEMORY = 32 * 1024
"""Bytes that RE2 may take for one: it bounds the time too, a few milliseconds for a path of 250
bytes at worst. An expression of a thousand plain characters needs half of it."""

TURN = 0.01
"""Seconds that are spent on a pattern before other things may happen."""

AT_ONCE = 1000
"""Paths that are looked at before other things may happen."""

_STARS = re.compile(rb"(\*\*|\*)")
_PLAIN = re.compile(rb"[A-Za-z0-9/_~%=@:,;!&' -]*")


class Pattern(NamedTuple):
    """What pages it fits."""

    text: str
    exact: frozenset[bytes]
    """The decoded paths that it is for; empty: all that begin with `prefix` and fit."""
    prefix: bytes
    """What every such decoded path begins with."""
    fits_decoded: Callable[[bytes], object]
    is_slow: bool = False
    """Whether a look at one path may take milliseconds."""
    is_regex: bool = False
    """Whether `text` is a regular expression."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how another process makes the same (pickle)."""
        if self.exact:
            return exactly, tuple(sorted(self.exact))
        if not self.is_slow:
            return below, (self.prefix,)
        return (parse_regex if self.is_regex else parse), (self.text,)

    def fits(self, path: bytes) -> bool:
        """Whether the page that is kept under `path` is one of them."""
        return bool(self.fits_decoded(decoded(path)))

    def may_hold(self, directory: bytes) -> bool:
        """Whether a page in `directory` (a path that ends with `/`), or below, may be one."""
        return directory.startswith(self.prefix) or self.prefix.startswith(directory)

    def among(self, paths: Collection[bytes]) -> Iterator[list[bytes]]:
        """Yield those of `paths` that it fits as `slices` does, without a look at all if it can."""
        if self.exact and not any(map(may_be_spelled, self.exact)):
            yield [path for path in self.exact if path in paths]
        else:
            yield from self.slices(list(paths))

    def slices(self, paths: Iterable[bytes]) -> Iterator[list[bytes]]:
        """Yield those of `paths` that it fits, in lists: other things may happen in between."""
        found: list[bytes] = []
        end = time.monotonic() + TURN
        for number, path in enumerate(paths, 1):
            if self.fits(path):
                found.append(path)
            if not number % AT_ONCE or time.monotonic() > end:
                yield found
                found = []
                end = time.monotonic() + TURN
        yield found


EVERYTHING = Pattern("/**", frozenset(), b"/", lambda _: True)


def exactly(*paths: bytes) -> Pattern:
    """Return the pattern for the decoded `paths` alone."""
    exact = frozenset(paths)
    return Pattern(os.fsdecode(paths[0]), exact, paths[0], exact.__contains__)


def below(prefix: bytes) -> Pattern:
    """Return the pattern for all decoded paths that begin with `prefix`."""
    return Pattern(os.fsdecode(prefix), frozenset(), prefix, lambda path: path.startswith(prefix))


def as_kept(pattern: Pattern, site: Site) -> Pattern:
    """Return `pattern` for what may be the same page: a directory's, and that of its index file."""
    if not pattern.exact:
        return pattern
    names = [os.fsencode(name) for name in site.index]
    paths = set(pattern.exact)
    for path in pattern.exact:
        directory, slash, name = path.rpartition(b"/")
        if not name:
            paths.update(path + each for each in names)
        elif name in names:
            paths.add(directory + slash)
    return exactly(*sorted(paths))


def parse(text: str) -> Pattern:
    """Return the pattern `text` of `memfis purge`; raises UsageError.

    A URL path, percent-encoded or not; `*` stands for anything within a part of the path, `**` for
    anything at all. A query and a fragment say nothing.
    """
    if not text.startswith("/"):
        raise UsageError(f"{_named(text)}: a pattern begins with '/'")
    raw = os.fsencode(text.partition("?")[0].partition("#")[0])
    if b"*" not in raw:
        return exactly(normal_path(text))
    _check_length(text, raw)
    parts = [
        part if part in (b"*", b"**") else unquote_to_bytes(part) for part in _STARS.split(raw)
    ]
    if parts[1:] == [b"**", b""]:
        return below(parts[0])
    meaning = {b"*": b"[^/]*", b"**": b".*"}
    fits = _compiled(
        text,
        b"".join(
            meaning[part] if number % 2 else _literally(part) for number, part in enumerate(parts)
        )
        + b"\\z",
    )
    return Pattern(text, frozenset(), parts[0], fits, is_slow=True)


def parse_regex(text: str) -> Pattern:
    """Return the pattern for the path and regular expression `text`; raises UsageError.

    It fits a path that begins so, as Varnish has it. The syntax is RE2's.
    """
    raw = unquote_to_bytes(os.fsencode(text))
    if not raw.startswith(b"/"):
        raise UsageError(f"{_named(text)}: begins with '/'")
    _check_length(text, raw)
    plain = _PLAIN.match(raw)
    literal = plain[0] if plain else b""
    if raw == literal + b".*":
        return below(literal)
    # what follows the last plain character may make it optional, or an alternative
    prefix = b"/" if b"|" in raw else literal[:-1] or b"/"
    return Pattern(text, frozenset(), prefix, _compiled(text, raw), is_slow=True, is_regex=True)


def parse_target(target: bytes, method: str) -> Pattern:
    """Return what a `PURGE` of the request target `target` is for; raises UsageError.

    Methods are those of WordPress's cache plugins: `regex`, or one page. The path is taken as any
    other request's: stars stand for themselves, but for `/*` and `/.*` at the end where no method
    is named, which other programs send for all below.
    """
    method = method.strip().lower()
    if method == "regex":
        return parse_regex(os.fsdecode(target))  # a question mark belongs to it
    path = target.partition(b"?")[0]
    for end in (b"/.*", b"/*"):
        if not method and path.endswith(end):
            return below(normal_path(os.fsdecode(path.removesuffix(end) + b"/")))
    return exactly(normal_path(os.fsdecode(path)))


def as_text(pattern: Pattern) -> str:
    """Return `pattern` as a text that `from_text` reads: paths are their bytes as ISO-8859-1."""
    if pattern.exact:
        return "=" + "\0".join(path.decode("latin-1") for path in sorted(pattern.exact))
    if not pattern.is_slow:
        return "<" + pattern.prefix.decode("latin-1")
    return ("~" if pattern.is_regex else "*") + os.fsencode(pattern.text).decode("latin-1")


def from_text(text: str) -> Pattern:
    """Return the pattern that `as_text` wrote; raises UsageError for any other text."""
    try:
        raw = text[1:].encode("latin-1")
    except UnicodeEncodeError as error:
        raise UsageError(f"{_named(text)}: is no pattern") from error
    if text.startswith("=") and all(path.startswith(b"/") for path in raw.split(b"\0")):
        return exactly(*raw.split(b"\0"))
    if text.startswith("</"):
        return below(raw)
    if text.startswith(("~", "*")):
        return (parse_regex if text[0] == "~" else parse)(os.fsdecode(raw))
    raise UsageError(f"{_named(text)}: is no pattern")


def _check_length(text: str, raw: bytes) -> None:
    if len(raw) > LONGEST:
        raise UsageError(f"{_named(text)}: longer than {LONGEST} bytes")


def _named(text: str) -> str:
    """Return `text` as it can be named in a line, or its beginning."""
    return f"'{shown(os.fsencode(text[:100]))}'"


def _literally(part: bytes) -> bytes:
    import re2  # only patterns need it

    quoted: bytes = re2.escape(part)
    return quoted


def _compiled(text: str, expression: bytes) -> Callable[[bytes], object]:
    """Return what matches the beginning of a path with `expression`; raises UsageError."""
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # paths are bytes
    options.max_mem = MEMORY
    options.dot_nl = True
    options.never_nl = False
    options.never_capture = True
    options.log_errors = False
    try:
        match: Callable[[bytes], object] = re2.compile(expression, options=options).match
    except re2.error as error:
        said = error.args[0] if error.args else b""
        reason = shown(said if isinstance(said, bytes) else os.fsencode(str(said)))
        raise UsageError(f"{_named(text)} does not parse: {reason}") from error
    return match
