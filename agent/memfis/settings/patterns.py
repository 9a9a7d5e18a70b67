"""gitignore patterns: whether one parses, and many ready to match."""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from memfis.errors import UsageError
from memfis.settings.kinds import ListOf, Text

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


def parse_patterns(patterns: Sequence[str]) -> "GitIgnoreSpec":
    """Return gitignore `patterns` ready to match; raises UsageError for one that does not parse."""
    from pathspec import GitIgnoreSpec  # most sites have no patterns

    with _brackets_are_plain():
        for pattern in patterns:
            try:
                GitIgnoreSpec.from_lines([pattern], backend="simple")
            except (ValueError, re.error) as error:
                raise UsageError(f"pattern {pattern!r} does not parse: {error}") from error
        # others, which pathspec takes when they are there, match text that is UTF-8 only
        return GitIgnoreSpec.from_lines(patterns, backend="simple")


@contextmanager
def _brackets_are_plain() -> Iterator[None]:
    """Hear no warning of `re` that `[[` may mean something else one day: in globs it does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def pattern_problem(pattern: str) -> str | None:
    """Return why the gitignore `pattern` does not parse, None when it does.

    As pathspec sees it, which a controller of Ansible may not have: tests compare the two.
    """
    if not pattern.endswith("\\ "):
        pattern = pattern.rstrip()
    if not pattern or pattern[0] == "#":
        return None
    body = pattern.removeprefix("!")
    if not body:
        return "does not parse: '!' has nothing behind it"
    found = [each for part in body.split("/") for each in _expressions(part)]
    for expression in found:
        if expression == "[":
            return None  # no bracket ends it: git takes no notice of such a pattern
        if expression == "\\":
            return "does not parse: '\\' has nothing behind it"
    for expression in found:
        try:
            with _brackets_are_plain():
                re.compile(expression)
        except re.error as error:
            return f"does not parse: {error.msg}"
    return None


def _expressions(part: str) -> Iterator[str]:
    """Yield the bracket expressions of one name in a pattern, and a backslash at its end.

    A bracket that nothing ends is yielded alone.
    """
    at = 0
    while at < len(part):
        if part[at] == "\\":
            if at + 1 == len(part):
                yield "\\"
            at += 2
            continue
        if part[at] != "[":
            at += 1
            continue
        end = at + 1
        if part[end : end + 1] in ("!", "^"):
            end += 1
        end = part.find("]", end + 1)
        if end < 0:
            yield "["
            return
        inside = part[at + 1 : end].replace("\\", "\\\\")
        yield f"[{'^' + inside[1:] if inside[0] in '!^' else inside}]"
        at = end + 1


PATTERNS = ListOf(
    Text("a gitignore pattern", also=pattern_problem, type="pattern"),
    "a list of gitignore patterns",
)
