"""Settings of hosts that share a store: the table `[fleet]` of memfis.toml."""

from collections.abc import Iterator, Mapping
from typing import Any

from memfis.settings.declare import BY_AGENT, REQUIRED, Setting, Table
from memfis.settings.kinds import Flag, ListOf, Text

HOST_NAME = Text(
    "a host's name, at most 200 of A-Z, a-z, 0-9 and '._:[]-'", r"[A-Za-z0-9._:\[\]-]{1,200}"
)
"""As it can stand in a key."""

FLEET = Table(
    "a [fleet] table",
    (
        Setting(
            "host",
            HOST_NAME,
            "what this host is called among those that share the store",
            REQUIRED,
            read_by=BY_AGENT,
            since="0.2.0",
        ),
        Setting(
            "hosts",
            ListOf(HOST_NAME, "a list of names of hosts", 1),
            "all of them, this one too",
            REQUIRED,
            read_by=BY_AGENT,
            since="0.2.0",
        ),
        Setting(
            "publisher",
            HOST_NAME,
            "the one whose agent fills the store; the others' agents tell it what was asked for,"
            " and what is to be purged",
            REQUIRED,
            read_by=BY_AGENT,
            since="0.2.0",
        ),
        Setting(
            "takeover",
            Flag(),
            "whether another host fills the store when that one is gone for 15 seconds: for web"
            " roots that are equal",
            False,
            read_by=BY_AGENT,
            since="0.2.0",
        ),
    ),
)


def fleet_problems(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for what does not go together in `table`, each setting of which is fit."""
    for name in ("host", "publisher"):
        if table[name] not in table["hosts"]:
            yield f"fleet.{name}: {table[name]!r} is not one of 'hosts'"
    twice = sorted({name for name in table["hosts"] if table["hosts"].count(name) > 1})
    yield from (f"fleet.hosts: {name!r} is there twice" for name in twice)
