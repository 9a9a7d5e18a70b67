"""Kinds of values that settings have: what fits, what to say of what does not, and how it is read.

Only the standard library: the role's filters use this too, on a controller that has no more than
ansible-core (docs/settings.md).

A value comes from TOML, which has types, or from Ansible, where numbers and booleans may be text
(`--extra-vars`, templates). `as_text` says which; nothing else differs between the two.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol

SHOWN = 100
"""Characters of a wrong value that are shown."""

TRUE = frozenset(("true", "yes", "on", "1"))
FALSE = frozenset(("false", "no", "off", "0"))
"""Text that Ansible takes for a boolean (ansible.module_utils.parsing.convert_bool, in part)."""


class Kind(Protocol):
    """What fits a setting. `expected` goes on after the word "expected"."""

    @property
    def expected(self) -> str:
        """What fits, in words."""

    @property
    def type(self) -> str:
        """The type, as tables and argument specifications name it."""

    def problems(self, value: object, where: str, *, as_text: bool) -> Iterator[str]:
        """Yield one line, which begins with `where`, for every thing that is wrong with `value`."""

    def read(self, value: Any) -> Any:
        """Return `value`, of which `problems` finds none, as programs get it."""


def shown(value: object) -> str:
    """Return `value` on one line, cut where it is long."""
    if isinstance(value, str):
        text = repr(str(value))  # Ansible's own kind of str may print otherwise
    else:
        try:
            text = json.dumps(value, ensure_ascii=False, default=str)
        except (TypeError, ValueError):
            text = repr(value)
    return printable(text)


def printable(text: object) -> str:
    """Return `text` on one line, with what no terminal should get escaped, cut where it is long."""
    line = "".join(each if each.isprintable() else repr(each)[1:-1] for each in str(text))
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"


def nearest(word: object, words: Collection[str], alike: float = 0.6) -> str:
    """Return "; did you mean …?" for the one of `words` that is nearly `word`, else nothing.

    `alike`: how much of the two must be the same, 0 to 1.
    """
    near = get_close_matches(str(word), words, 1, alike) if isinstance(word, str) else []
    return f"; did you mean {near[0]!r}?" if near else ""


def wrong(where: str, value: object, expected: str, hint: str = "") -> str:
    """Return the line that says that `value` of the setting `where` is none of what fits."""
    return f"{where}: {shown(value)}: expected {expected}{hint}"


@dataclass(frozen=True)
class Text:
    """Text that `pattern` matches whole; `also` may name what is still wrong with such a text."""

    expected: str
    pattern: str = r"[^\0]*"
    also: Callable[[str], str | None] | None = None
    words: tuple[str, ...] = ()
    """Texts that are usual: one of them is named when a wrong one is nearly it."""
    or_number: bool = False
    """Whether a whole number stands for its digits, as YAML writes ports and limits."""
    type: str = "text"

    def problems(self, value: object, where: str, *, as_text: bool) -> Iterator[str]:
        """See `Kind`."""
        if self.or_number and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not re.fullmatch(self.pattern, value, re.DOTALL):
            yield wrong(where, value, self.expected, nearest(value, self.words))
        elif self.also is not None and (found := self.also(value)) is not None:
            yield f"{where}: {shown(value)}: {found}"

    def read(self, value: Any) -> str:
        """See `Kind`."""
        return str(value)


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]
    false: str = ""
    """The word that YAML reads as false where it stands without quotes."""
    type: str = "text"

    @property
    def expected(self) -> str:
        """The words."""
        return " or ".join(map(repr, self.words))

    def problems(self, value: object, where: str, *, as_text: bool) -> Iterator[str]:
        """See `Kind`."""
        bare = as_text and value is False and self.false
        if not bare and (not isinstance(value, str) or value not in self.words):
            yield wrong(where, value, self.expected, nearest(value, self.words))

    def read(self, value: Any) -> str:
        """See `Kind`."""
        return self.false if value is False else str(value)


@dataclass(frozen=True)
class Integer:
    """A whole number."""

    expected: str
    least: int = 0
    most: int = 2**63 - 1
    type: str = "integer"

    def problems(self, value: object, where: str, *, as_text: bool) -> Iterator[str]:
        """See `Kind`."""
        given = value
        if as_text and isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not self._holds(value):
            yield wrong(where, given, self.expected)

    def _holds(self, value: int) -> bool:
        return self.least <= value <= self.most

    def read(self, value: Any) -> int:
        """See `Kind`."""
        return int(value)


@dataclass(frozen=True)
class Number:
    """A number, with a fraction or without."""

    expected: str
    least: float = 0
    most: float = 1e18
    above: bool = False
    """Whether `least` itself is too little."""
    type: str = "number"

    def problems(self, value: object, where: str, *, as_text: bool) -> Iterator[str]:
        """See `Kind`."""
        given = value
        if as_text and isinstance(value, str) and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
            value = float(value)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not self._holds(float(str(value))):
            yield wrong(where, given, self.expected)

    def _holds(self, value: float) -> bool:
        return (value > self.least if self.above else value >= self.least) and value <= self.most

    def read(self, value: Any) -> float:
        """See `Kind`."""
        return float(value)


@dataclass(frozen=True)
class Flag:
    """True or false; `in_words`: also as text, for what may stand on Ansible's command line."""

    in_words: bool = False
    expected: str = "true or false"
    type: str = "boolean"

    def problems(self, value: object, where: str, *, as_text: bool) -> Iterator[str]:
        """See `Kind`."""
        worded = as_text and self.in_words and str(value).lower() in TRUE | FALSE
        if not isinstance(value, bool) and not worded:
            yield wrong(where, value, self.expected)

    def read(self, value: Any) -> bool:
        """See `Kind`."""
        return value if isinstance(value, bool) else str(value).lower() in TRUE


@dataclass(frozen=True)
class ListOf:
    """A list. Text is never taken for one, so that it is not split into letters."""

    each: Kind
    expected: str
    least: int = 0

    @property
    def type(self) -> str:
        """The type, with that of its elements."""
        return f"list of {self.each.type}s"

    def problems(self, value: object, where: str, *, as_text: bool) -> Iterator[str]:
        """See `Kind`."""
        if not isinstance(value, list | tuple):
            alone = value is not None and not any(self.each.problems(value, "", as_text=as_text))
            yield wrong(where, value, self.expected, f"; write [{shown(value)}]" if alone else "")
        elif len(value) < self.least:
            yield wrong(where, value, f"{self.expected}, at least {self.least}")
        else:
            for number, each in enumerate(value):
                yield from self.each.problems(each, f"{where}[{number}]", as_text=as_text)

    def read(self, value: Any) -> tuple[Any, ...]:
        """See `Kind`."""
        return tuple(self.each.read(each) for each in value)


@dataclass(frozen=True)
class MapOf:
    """Values by names that one is free to choose."""

    name: Kind
    value: Kind
    expected: str
    type: str = "table"

    def problems(self, value: object, where: str, *, as_text: bool) -> Iterator[str]:
        """See `Kind`."""
        if not isinstance(value, Mapping):
            yield wrong(where, value, self.expected)
            return
        for name, each in value.items():
            at = f"{where}.{printable(name)}"
            yield from self.name.problems(name, where, as_text=as_text)
            yield from self.value.problems(each, at, as_text=as_text)

    def read(self, value: Any) -> dict[str, Any]:
        """See `Kind`."""
        return {str(name): self.value.read(each) for name, each in value.items()}
