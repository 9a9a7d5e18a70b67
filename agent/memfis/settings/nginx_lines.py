"""nginx's configuration, read as far as settings need it: which directives are in it, and where.

Only the standard library (docs/settings.md says why).
"""

import re
from collections.abc import Iterator

# As ngx_conf_read_token has it: a quote and a `#` mean something only where a word begins, and a
# `}` ends no word.
_TOKEN = re.compile(
    r"""\#[^\n]*
    | (?P<quoted> "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' )
    | (?P<mark> [;{}] )
    | (?P<word> (?:\\.|\$\{|[^\s;{\\])+ )""",
    re.DOTALL | re.VERBOSE,
)

_RUN = frozenset(("include", "js_content", "perl"))


def directives(text: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield each directive of `text` as its words, with the names of the blocks that it is in."""
    blocks: list[str] = []
    words: list[str] = []
    for token in _TOKEN.finditer(text):
        if token["quoted"]:
            words.append(re.sub(r"\\(.)", r"\1", token["quoted"][1:-1], flags=re.DOTALL))
        elif token["word"]:
            words.append(token["word"])
        elif token["mark"]:
            if words:
                yield tuple(blocks), words
            if token["mark"] == "{":
                blocks.append(words[0] if words else "")
            elif token["mark"] == "}" and blocks:
                blocks.pop()
            words = []


def hands_on(lines: str) -> bool:
    """Whether something else than nginx's own files may answer by `lines` of a server.

    An `include` may have anything in it.
    """
    return any(
        name.endswith("_pass") or "_by_lua" in name or name in _RUN
        for _, (name, *_) in directives(lines)
    )


def has_types(lines: str) -> bool:
    """Whether `lines` of a server have media types of their own for all of it."""
    return any(
        not blocks and (name == "types" or (name == "include" and "mime.types" in "".join(rest)))
        for blocks, (name, *rest) in directives(lines)
    )
