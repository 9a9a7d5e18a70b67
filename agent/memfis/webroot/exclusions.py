"""What never goes into memory by its name: refused names, default exclusions, the site's patterns.

Refused names are those that the nginx site refuses too (templates/nginx/site.conf.j2); no setting
brings them in. The default exclusions may be overruled by a pattern that begins with `!`.
"""

import fnmatch
import os
import re
from collections.abc import Iterable, Sequence

from memfis.settings.patterns import parse_patterns

DEFAULT_PATTERNS = (
    # editors' and tools' leftovers
    *("*~", "*.bak", "*.swp", "*.swo", "*.orig", "*.rej", "*.tmp", "*.temp", "*.part", "#*#"),
    *("*.old", "*.save", "*.dist", "*.dpkg-*", "*.rpmnew", "*.rpmsave", "Thumbs.db", "desktop.ini"),
    # dumps and databases
    *("*.sql", "*.sql.*", "*.dump", "*.sqlite", "*.sqlite3", "*.db", "*.mdb", "*.core"),
    # keys and secrets
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.kdbx", "*.ovpn", "id_rsa*", "id_ed25519*"),
    *("wp-config*", "*.cgi", "*.fcgi"),
)
"""Names that are published by mistake more often than on purpose; gitignore globs, any case."""


def _searched(pattern: str) -> str:
    """Return the regular expression to search a name for, unanchored where `pattern` is."""
    if pattern.startswith("*"):
        return fnmatch.translate(pattern[1:])
    return r"\A" + fnmatch.translate(pattern)


def _any_of(patterns: Iterable[str]) -> re.Pattern[bytes]:
    """Return what finds in a name in lower case that one of `patterns` fits."""
    return re.compile("|".join(_searched(each.lower()) for each in patterns).encode("ascii"))


_DEFAULT = _any_of(DEFAULT_PATTERNS)

_REFUSED = re.compile(rb"\A\.|\.(?:php\d?|phtml|phar|phps|inc)(?:[.~]|\Z)")

# Nearly all names are fit to be published, and this finds out fast: every name that is not begins
# with one of _STARTS, or _SUSPECT finds something in it.
_ANYWHERE = tuple(pattern for pattern in DEFAULT_PATTERNS if pattern[0] == "*")
_STARTS = (
    b".",
    *(re.split(r"[*?\[]", p.lower())[0].encode() for p in DEFAULT_PATTERNS if p[0] != "*"),
)
_SUSPECT = re.compile(
    b"|".join([rb"\.ph|\.inc", *(_searched(pattern.lower()).encode() for pattern in _ANYWHERE)])
)

# The same for all names of a directory at once, each between two slashes. What begins alike stands
# together: the regular expression engine tries one alternative after the other.
_ENDS = [fnmatch.translate(p[1:].lower()).replace(r"\Z", "/").encode() for p in _ANYWHERE]
_SUSPECT_AMONG = re.compile(
    rb"/(?:%b)|\.(?:ph|inc|%b)|%b"
    % (
        b"|".join(re.escape(start) for start in _STARTS),
        b"|".join(end.replace(rb"\.", b"", 1) for end in _ENDS if end.startswith(rb"(?s:\.")),
        b"|".join(end for end in _ENDS if not end.startswith(rb"(?s:\.")),
    )
)


def is_refused(directory: bytes, name: bytes) -> bool:
    """Whether nginx refuses every URL of `name` in `directory` (a path that ends with `/`)."""
    if not _REFUSED.search(name.lower()):
        return False
    return not (directory == b"/" and name == b".well-known")


class Exclusions:
    """The default exclusions and a site's own."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        """Read gitignore `patterns`; raises UsageError for one that does not parse."""
        self._spec = parse_patterns(patterns) if patterns else None

    def leaves_out_none(self, names: Sequence[bytes]) -> bool:
        """Whether all `names` of a directory are certainly neither refused nor to stay out.

        One look at all of them: False only means that `leave_out` must be asked of each.
        """
        if self._spec is not None:
            return False
        return not _SUSPECT_AMONG.search(b"/%b/" % b"/".join(names).lower())

    def leave_out(self, directory: bytes, name: bytes, is_directory: bool) -> bool:
        """Whether `name` in `directory` (a path that ends with `/`) is refused or stays out."""
        if self._spec is None:
            lower = name.lower()
            if not lower.startswith(_STARTS) and not _SUSPECT.search(lower):
                return False
        return is_refused(directory, name) or self.excludes(directory, name, is_directory)

    def excludes(self, directory: bytes, name: bytes, is_directory: bool) -> bool:
        """Whether `name` in `directory` (a path that ends with `/`) stays out of memory."""
        if self._spec is not None:
            path = os.fsdecode(directory[1:] + name) + ("/" if is_directory else "")
            # pathspec's wildcards stop at a newline; git's match it like any other character
            verdict = self._spec.check_file(path.replace("\n", "?")).include
            if verdict is not None:
                return verdict
        return _DEFAULT.search(name.lower()) is not None
