"""Write the manual pages memfis(1) and memfis.toml(5), of the commands' help and of the settings.

    python -m memfis.commands.manual [--check] [CHECKOUT]

--check writes nothing, names what differs, and ends with 1 then. The pages are roff with the macros
of groff_man(7); they are in the wheel as share/man.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from inspect import cleandoc
from pathlib import Path

import click

from memfis import __version__
from memfis.commands import COMMANDS, EXIT_CODES, memfis
from memfis.commands.gateway import default_of
from memfis.settings.agent import AGENT, SITE_IN_TOML
from memfis.settings.declare import Table
from memfis.settings.fleet import FLEET
from memfis.settings.gateway import GATEWAY
from memfis.settings.php import PHP

PLACE = Path("agent", "man")
"""Where the pages are in a checkout."""

TABLES = (
    ("Before the first table", "", AGENT),
    ("[[sites]]", "One table for each site.", SITE_IN_TOML),
    ("[sites.php]", "Below a site: PHP makes its pages. docs/php.md says more.", PHP.in_toml()),
    ("[fleet]", "Where several hosts share the store.", FLEET),
    ("[gateway]", "What memfis gateway reads alone, from a file of its own.", GATEWAY),
)

EXAMPLE = """\
store = "memcached:///run/memfis-store/memcached.sock"
reader = "www-data"

[[sites]]
name = "www.example.org"
server_names = ["www.example.org", "example.org"]
root = "/srv/www/example.org"
exclude = ["*.iso"]
"""


def escaped(text: str) -> str:
    """Return a line of plain text as roff has it (groff(7), "Escapes")."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def marked(text: str) -> str:
    """Return a line of Markdown as roff has it; what is code is bold."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    parts = text.split("`")
    return "".join(
        f"\\fB{escaped(part)}\\fR" if number % 2 else escaped(part)
        for number, part in enumerate(parts)
    )


def _paragraphs(help_text: str) -> Iterator[str]:
    """Yield lines for a text as click has it: a paragraph after `\\b` keeps its lines."""
    # As Python 3.13 and later have docstrings, without the indentation of the code.
    for number, paragraph in enumerate(cleandoc(help_text).split("\n\n")):
        lines = paragraph.splitlines()
        if number:
            yield ".PP"
        if lines[0].strip() == "\b":
            yield from (".nf", ".RS 2", *(escaped(line) for line in lines[1:]), ".RE", ".fi")
        else:
            yield marked(" ".join(line.strip() for line in lines))


def _entries(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, text in entries:
        yield from (".TP", f".B {escaped(term)}", text)


def _head(title: str, section: int, about: str) -> Iterator[str]:
    yield '.\\" Made by `python -m memfis.commands.manual`.'
    yield f'.TH "{escaped(title.upper())}" {section} "" "memfis {__version__}" "memfis"'
    yield from (".SH NAME", f"{escaped(title)} \\- {about}")


def _command(name: str) -> Iterator[str]:
    command = memfis.get_command(click.Context(memfis), name)
    assert command is not None
    context = click.Context(
        command, info_name=name, help_option_names=memfis.context_settings["help_option_names"]
    )
    usage = " ".join(command.collect_usage_pieces(context))
    yield f'.SS "memfis {escaped(name)} {escaped(usage)}"'
    yield from _paragraphs(command.help or "")
    records = (each.get_help_record(context) for each in command.get_params(context))
    yield from _entries((term, escaped(text)) for term, text in filter(None, records) if text)


def commands_page() -> str:
    """Return memfis(1)."""
    lines = [
        *_head("memfis", 1, "serve websites out of memory"),
        ".SH SYNOPSIS",
        ".B memfis",
        "COMMAND [OPTIONS] [ARGUMENTS]",
        ".SH DESCRIPTION",
        *_paragraphs(memfis.help or ""),
        *_entries((name, escaped(text)) for name, (_, text) in COMMANDS.items()),
        ".SH COMMANDS",
    ]
    for name in COMMANDS:
        lines += _command(name)
    codes = re.findall(r"^  (\d)  (.*)$", EXIT_CODES, re.MULTILINE)
    lines += [
        ".SH EXIT STATUS",
        *_entries((code, escaped(text)) for code, text in codes),
        ".SH ENVIRONMENT",
        *_entries([("MEMFIS_CONFIG", "The configuration, where \\-\\-config does not name one.")]),
        ".SH FILES",
        *_entries(
            [
                ("/etc/memfis/memfis.toml", "The configuration; see memfis.toml(5)."),
                ("/run/memfis", "Locks, and the sockets of the agent."),
            ]
        ),
        ".SH SEE ALSO",
        ".BR memfis.toml (5),",
        ".BR memcached (1),",
        ".BR nginx (8)",
    ]
    return "\n".join(lines) + "\n"


def _settings(table: Table) -> Iterator[str]:
    for setting in table.settings:
        given = "needed" if setting.is_required else f"default: {default_of(setting)}"
        yield from (".TP", f".B {escaped(setting.name)}", marked(setting.description), ".br")
        yield marked(f"({setting.kind.expected}; {given})")


def settings_page() -> str:
    """Return memfis.toml(5)."""
    lines = [
        *_head("memfis.toml", 5, "settings of memfis"),
        ".SH DESCRIPTION",
        marked(
            "Sites, their stores, and how the agent keeps them, in TOML. Commands and the"
            " agent read `/etc/memfis/memfis.toml`, or the file that `MEMFIS_CONFIG` or"
            " `--config` names. On a host of the Ansible role the role writes it, from the"
            " variables that its README has: changes made by hand are lost there with the next"
            " play. The agent takes new settings by a reload (SIGHUP); what is wrong is said"
            " in one line each, with the right name where one is nearly right, and the old"
            " settings go on."
        ),
        ".SH SETTINGS",
    ]
    for title, about, table in TABLES:
        lines += [f'.SS "{escaped(title)}"', *([marked(about)] if about else []), *_settings(table)]
    lines += [
        ".SH EXAMPLES",
        *(".nf", *(escaped(line) for line in EXAMPLE.splitlines()), ".fi"),
        ".SH SEE ALSO",
        ".BR memfis (1)",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write the pages, or with --check compare them; return the exit code."""
    check = "--check" in arguments
    places = [each for each in arguments if each != "--check"]
    place = Path(places[0] if places else ".") / PLACE
    different = False
    for name, text in (("memfis.1", commands_page()), ("memfis.toml.5", settings_page())):
        path = place / name
        if path.exists() and path.read_text("utf-8") == text:
            continue
        different = True
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        print(f"{path}: {'differs from commands and settings' if check else 'written'}")
    return int(check and different)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
