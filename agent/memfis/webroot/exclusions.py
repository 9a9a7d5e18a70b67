"""What never goes into memory by its name: refused names, default exclusions, the site's patterns.

Refused names are those that the nginx site refuses too (templates/nginx/names.j2); no pattern
brings them in. The default exclusions may be overruled by a pattern that begins with `!`.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Self

from memfis.settings.patterns import parse_patterns
from memfis.settings.site import SCRIPT_EXTENSIONS
from memfis.settings.values import Site

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
"""Names that are published by mistake more often than on purpose; gitignore globs, any case.

`*` is the only wildcard in them, and stands at the ends or once between them: see `_Defaults`.
"""


class _Defaults:
    """Default patterns by what they ask of a name: compared as bytes, in lower case (ASCII)."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Sort `patterns`; raises ValueError for one that asks for more than this compares."""
        equal: list[bytes] = []
        starts: list[bytes] = []
        ends: list[bytes] = []
        self.within: list[bytes] = []
        self.around: list[tuple[bytes, bytes]] = []
        for pattern in patterns:
            if set(pattern) & set("?[]\\/!"):
                raise ValueError(f"default pattern {pattern}: '*' is the only wildcard here")
            match pattern.lower().encode("ascii").split(b"*"):
                case [name]:
                    equal.append(name)
                case [b"", end]:
                    ends.append(end)
                case [start, b""]:
                    starts.append(start)
                case [start, end]:
                    self.around.append((start, end))
                case [b"", part, b""]:
                    self.within.append(part)
                case _:
                    raise ValueError(f"default pattern {pattern}: too many wildcards")
        self.equal = frozenset(equal)
        self.starts = tuple(starts)
        self.ends = tuple(ends)

    def fit(self, name: bytes) -> bool:
        """Whether one of the patterns fits `name`."""
        name = name.lower()
        return (
            name.endswith(self.ends)
            or name.startswith(self.starts)
            or name in self.equal
            or any(part in name for part in self.within)
            or any(
                name.startswith(start) and name.endswith(end) and len(name) >= len(start + end)
                for start, end in self.around
            )
        )

    def signs(self) -> Iterator[bytes]:
        """Yield what is in `/name/`, in lower case, of every name that one of the patterns fits."""
        yield from (b"/%b/" % name for name in self.equal)
        yield from (b"/%b" % start for start in self.starts)
        yield from (b"%b/" % end for end in self.ends)
        yield from self.within
        yield from (b"/%b" % start for start, _ in self.around)


def _any_of(texts: Iterable[bytes]) -> re.Pattern[bytes]:
    """Return what finds one of `texts`.

    What begins alike stands together: the regular expression engine tries one alternative after
    the other.
    """
    groups = groupby(sorted(texts), key=lambda text: text[:1])
    return re.compile(
        b"|".join(
            b"%b(?:%b)" % (re.escape(first), b"|".join(re.escape(text[1:]) for text in those))
            for first, those in groups
        )
    )


_DEFAULTS = _Defaults(DEFAULT_PATTERNS)

_PHP = rb"php\d?|phtml|phar|phps|inc"

# What editors and tools append to a name that they keep a copy under, as the default patterns.
_BACKUP = (
    rb"(?:[~#]|\.(?:bak|sw[po]|orig|rej|te?mp|part|old|save|dist|rpmnew|rpmsave|dpkg-[^.~#]*"
    rb"|~\d+~))*"
)


class RefusedNames:
    """Which names nginx never serves on a site, from memory or from disk.

    Where scripts are run, every name that has the extension of one anywhere is refused, and so is
    what is below it: what runs scripts may take another part of the path for the script's name
    than nginx does. Elsewhere only what would be a script's own name is.
    """

    def __init__(self, extensions: Iterable[str] = SCRIPT_EXTENSIONS, *, strict: bool) -> None:
        """Refuse scripts with these `extensions`; `strict`: scripts are run."""
        self._strict = strict
        given = [re.escape(each.lower().encode("ascii")) for each in extensions]
        if strict:
            source = rb"\.(?:%b)(?:[.~#]|\Z)" % b"|".join([_PHP, *given])
            given += [b"ph", b"inc"]
        else:
            source = rb"\.(?:%b)%b\Z" % (b"|".join(given), _BACKUP) if given else rb"(?!)"
        self._source = re.compile(source)
        self.signs = [b"/."] + [
            b".%b" % re.sub(rb"\\(.)", rb"\1", each)
            for each in given
            if not any(each != other and each.startswith(other) for other in given)
        ]
        """What is in `/name/`, in lower case, of every name that is refused, and in few others."""

    @staticmethod
    def of(site: Site) -> "RefusedNames":
        """Return those of `site`."""
        return _refused_names(site.script_extensions, site.runs_scripts or site.php is not None)

    def refuses(self, directory: bytes, name: bytes, is_directory: bool) -> bool:
        """Whether nginx refuses every URL of `name` in `directory` (a path that ends with `/`)."""
        if name.startswith(b".") and (
            name != b".well-known" or (self._strict and directory != b"/")
        ):
            return True
        return (self._strict or not is_directory) and self.is_source(name)

    def is_source(self, name: bytes) -> bool:
        """Whether `name` is that of a program's source, or of a copy of one."""
        return self._source.search(name.lower()) is not None


@cache
def _refused_names(extensions: tuple[str, ...], strict: bool) -> RefusedNames:
    return RefusedNames(extensions, strict=strict)


class Exclusions:
    """What is refused, the default exclusions, and a site's own."""

    def __init__(self, patterns: Sequence[str] = (), refused: RefusedNames | None = None) -> None:
        """Read gitignore `patterns`; raises UsageError for one that does not parse.

        `refused`: by default as on a site that runs no scripts.
        """
        self._spec = parse_patterns(patterns) if patterns else None
        self.refused = refused or _refused_names(SCRIPT_EXTENSIONS, False)
        # Nearly all names are fit to be published, and this finds out fast, for all names of a
        # directory at once, each between two slashes: it finds something in every name that is
        # refused or that a default pattern fits, and in few others.
        self._suspect = _any_of((*self.refused.signs, *_DEFAULTS.signs()))

    @classmethod
    def of(cls, site: Site) -> Self:
        """Return those of `site`; raises UsageError."""
        return cls(site.exclude, RefusedNames.of(site))

    def leaves_out_none(self, names: Sequence[bytes]) -> bool:
        """Whether all `names` of a directory are certainly neither refused nor to stay out.

        One look at all of them: False only means that `leave_out` must be asked of each.
        """
        if self._spec is not None:
            return False
        return not self._suspect.search(b"/%b/" % b"/".join(names).lower())

    def leave_out(self, directory: bytes, name: bytes, is_directory: bool) -> bool:
        """Whether `name` in `directory` (a path that ends with `/`) is refused or stays out."""
        if self.leaves_out_none((name,)):
            return False
        return self.refused.refuses(directory, name, is_directory) or self.excludes(
            directory, name, is_directory
        )

    def excludes(self, directory: bytes, name: bytes, is_directory: bool) -> bool:
        """Whether `name` in `directory` (a path that ends with `/`) stays out of memory."""
        if self._spec is not None:
            path = os.fsdecode(directory[1:] + name) + ("/" if is_directory else "")
            # pathspec's wildcards stop at a newline; git's match it like any other character
            verdict = self._spec.check_file(path.replace("\n", "?")).include
            if verdict is not None:
                return verdict
        return _DEFAULTS.fit(name)
