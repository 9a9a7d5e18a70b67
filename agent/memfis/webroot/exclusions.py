"""What never goes into memory by its name: refused names, default exclusions, the site's patterns.

Refused names are those that the nginx site refuses too (templates/nginx/site.conf.j2); no setting
brings them in. The default exclusions may be overruled by a pattern that begins with `!`.
"""

import fnmatch
import os
import re
from collections.abc import Sequence

from memfis.config import parse_patterns

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

_DEFAULT = re.compile("|".join(fnmatch.translate(p) for p in DEFAULT_PATTERNS), re.IGNORECASE)

_SOURCE = re.compile(rb"\.(?:php\d?|phtml|phar|phps|inc)(?:[.~]|\Z)", re.IGNORECASE | re.DOTALL)


def is_refused(directory: bytes, name: bytes) -> bool:
    """Whether nginx refuses every URL of `name` in `directory` (a path that ends with `/`)."""
    if name.startswith(b"."):
        return not (directory == b"/" and name == b".well-known")
    return _SOURCE.search(name) is not None


class Exclusions:
    """The default exclusions and a site's own."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        """Read gitignore `patterns`; raises UsageError for one that does not parse."""
        self._spec = parse_patterns(patterns) if patterns else None

    def excludes(self, directory: bytes, name: bytes, is_directory: bool) -> bool:
        """Whether `name` in `directory` (a path that ends with `/`) stays out of memory."""
        if self._spec is not None:
            path = os.fsdecode(directory[1:] + name) + ("/" if is_directory else "")
            # pathspec's wildcards stop at a newline; git's match it like any other character
            verdict = self._spec.check_file(path.replace("\n", "?")).include
            if verdict is not None:
                return verdict
        return _DEFAULT.match(os.fsdecode(name)) is not None
