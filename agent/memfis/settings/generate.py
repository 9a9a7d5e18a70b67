"""Write what is made of the declaration of settings: defaults, argument specifications, tables.

    python -m memfis.settings.generate [--check] [CHECKOUT]

--check writes nothing, names what differs, and ends with 1 then. Needs PyYAML, as developers have.
"""

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from memfis.settings.agent import AGENT, SITE_IN_TOML
from memfis.settings.couchbase import COUCHBASE
from memfis.settings.declare import Setting, Table
from memfis.settings.fleet import FLEET
from memfis.settings.gateway import GATEWAY
from memfis.settings.host import HOST
from memfis.settings.kinds import ListOf
from memfis.settings.mount import MOUNT
from memfis.settings.php import PHP
from memfis.settings.site import SITE

WIDTH = 98
"""Columns of a comment in YAML, without its mark."""

FOLDED = 64
"""Columns after which YAML is folded at the next space."""

ROLES = {
    "memfis": (HOST, "Serve websites from memory", (
        "Installs nginx, memcached as the store, and the memfis agent, which keeps the store equal"
        " to the web roots.",
        "Sites that this role did not write are not touched.",
    )),
    "memfis_couchbase": (COUCHBASE, "Couchbase Server as the store of memfis", (
        "Installs Couchbase Server on the hosts of the group C(memfis_store), and makes cluster,"
        " bucket and users over REST. What is as it should be is not written again.",
    )),
}  # fmt: skip
"""The variables of each role, and what it does."""

TABLES = {
    "host": HOST,
    "site": SITE,
    "php": PHP,
    "mount": MOUNT,
    "gateway": GATEWAY,
    "memfis.toml": AGENT,
    "fleet": FLEET,
    "sites of memfis.toml": SITE_IN_TOML,
    "php of memfis.toml": PHP.in_toml(),
    "couchbase": COUCHBASE,
}
"""What a pair of marks in a Markdown file may ask for: `<!-- settings: NAME -->`, or with
`, in full` behind the name all that is declared."""

DOCUMENTS = ("roles/*/README.md", "docs/*.md", "docs/*/*.md")

_MARKED = re.compile(
    r"(<!-- settings: ([a-z. ]+)(, in full)? -->\n).*?(<!-- end of settings -->)", re.DOTALL
)
_HEAD = "---\n# Made by `python -m memfis.settings.generate`: see docs/settings.md.\n"


class _Dumper(yaml.SafeDumper):
    """YAML as yamllint wants it: sequences are indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _yaml(value: Any) -> str:
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, width=WIDTH - 18, allow_unicode=True
    )
    return text


def defaults(table: Table) -> str:
    """Return defaults/main.yml of the role that has the variables of `table`."""
    lines = [_HEAD]
    for setting in table.settings:
        if setting.group:
            lines.append(f"\n# -- {setting.group}\n")
        lines += (f"# {line}\n" for line in textwrap.wrap(_sentence(setting.description), WIDTH))
        lines.append(_default(setting))
    return "".join(lines)


def _default(setting: Setting) -> str:
    value = setting.default
    if isinstance(value, str) and "\n" in value:
        indented = textwrap.indent(value, "  ")
        return f"{setting.name}: >-\n{indented}\n"
    if isinstance(value, str) and "{{" in value:
        return f'{setting.name}: "{value}"\n'
    return (
        _yaml({setting.name: value})
        if value or value is False or value == 0
        else (f"{setting.name}: {'[]' if value == [] else '{}' if value == {} else chr(34) * 2}\n")
    )


def _sentence(description: str) -> str:
    return f"{description[0].upper()}{description[1:]}."


def argument_specs(table: Table, short: str, description: tuple[str, ...]) -> str:
    """Return meta/argument_specs.yml of the role that has the variables of `table`.

    No types: the role says itself what is wrong with a value, in one line each.
    """
    main = {
        "short_description": short,
        "description": list(description),
        "author": ["memfis contributors"],
        "options": _options(table, with_defaults=True),
    }
    return _HEAD + _yaml({"argument_specs": {"main": main}})


def _options(table: Table, *, with_defaults: bool = False) -> dict[str, Any]:
    return {each.name: _option(each, with_defaults) for each in table.settings}


def _option(setting: Setting, with_default: bool) -> dict[str, Any]:
    needed = " It is needed." if setting.is_required else ""
    usually = f" By default {_marked(setting.usually)}." if setting.usually else ""
    option: dict[str, Any] = {
        "type": "raw",
        "description": [
            _marked(_sentence(setting.description)),
            f"{setting.kind.type.capitalize()}.{needed}{usually}",
        ],
    }
    if with_default:
        default = setting.default
        option["default"] = " ".join(default.split("\n")) if isinstance(default, str) else default
    if setting.secret:
        option["no_log"] = True
    inside = _table_in(setting)
    if inside is not None:
        option["options"] = _options(inside)
    return option


def _table_in(setting: Setting) -> Table | None:
    kind = setting.kind.each if isinstance(setting.kind, ListOf) else setting.kind
    return kind if isinstance(kind, Table) else None


def _marked(text: str) -> str:
    """Return Markdown's code as Ansible's documentation marks it."""
    return re.sub(r"`([^`]*)`", r"C(\1)", text)


def markdown(table: Table, *, in_full: bool) -> str:
    """Return the settings of `table` as a Markdown table; `in_full`: all that is declared."""
    head = [
        "setting",
        "default",
        *(["what fits", "read by", "since"] if in_full else []),
        "meaning",
    ]
    rows = [head, ["---"] * len(head)]
    for setting in table.settings:
        more = [setting.kind.expected, ", ".join(sorted(setting.read_by)), setting.since]
        rows.append(
            [
                f"`{setting.name}`",
                _shown_default(setting),
                *(more if in_full else []),
                setting.description,
            ]
        )
    return "".join(_row(each) for each in rows)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _shown_default(setting: Setting) -> str:
    if setting.usually:
        return setting.usually
    value = setting.default
    if setting.is_required:
        return "needed"
    if value is None:
        return "none"
    if value == "":
        return "empty"
    text = _yaml([value])[2:].strip() if isinstance(value, list | dict | bool) else str(value)
    if isinstance(value, list):
        text = f"[{', '.join(_yaml([each])[2:].strip() for each in value)}]"
    return f"`{text}`"


def documents(checkout: Path) -> Iterator[tuple[Path, str]]:
    """Yield every file that is made, whole or in part, and what it has to be."""
    for role, (table, short, description) in ROLES.items():
        place = checkout / "roles" / role
        yield place / "defaults" / "main.yml", defaults(table)
        yield place / "meta" / "argument_specs.yml", argument_specs(table, short, description)
    for pattern in DOCUMENTS:
        for path in sorted(checkout.glob(pattern)):
            text = path.read_text(encoding="utf-8")
            if _MARKED.search(text):
                yield path, _MARKED.sub(_filled, text)


def _filled(found: re.Match[str]) -> str:
    return found[1] + markdown(TABLES[found[2]], in_full=found[3] is not None) + found[4]


def main(arguments: list[str]) -> int:
    """Write the files, or with --check compare them; return the exit code."""
    check = "--check" in arguments
    places = [each for each in arguments if each != "--check"]
    checkout = Path(places[0] if places else ".")
    different = [
        (path, text) for path, text in documents(checkout) if path.read_text("utf-8") != text
    ]
    for path, text in different:
        if not check:
            path.write_text(text, encoding="utf-8")
        print(f"{path}: {'differs from the declaration of settings' if check else 'written'}")
    return int(check and bool(different))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
