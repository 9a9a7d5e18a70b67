"""The role's variables are an interface: defaults, argument_specs and README say the same."""

import re
from pathlib import Path

import pytest
import yaml

ROLE = Path(__file__).parents[3] / "roles" / "memfis"
DEFAULTS = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
SPECS = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())
OPTIONS = SPECS["argument_specs"]["main"]["options"]
README = (ROLE / "README.md").read_text()


def documented():
    """The tables of the README: variable or key, and default."""
    row = re.compile(r"^\| `(\w+)` \| *([^|]*?) *\|", re.M)
    return [row.findall(part) for part in README.split("\n\n")]


def test_every_variable_is_described_with_its_default():
    assert {name: option["default"] for name, option in OPTIONS.items()} == DEFAULTS
    table = dict(next(rows for rows in documented() if dict(rows).keys() & DEFAULTS.keys()))
    assert list(table) == list(DEFAULTS)
    for name, default in DEFAULTS.items():
        if not isinstance(default, str) or (default and "{{" not in default):
            shown = str(default).lower() if isinstance(default, bool) else str(default)
            assert table[name] == f"`{shown}`", name


def test_every_key_of_a_site_is_described():
    table = dict(next(rows for rows in documented() if "server_names" in dict(rows)))
    assert list(table) == list(OPTIONS["memfis_sites"]["options"])


def test_every_key_of_a_mount_is_described():
    table = dict(next(rows for rows in documented() if "read_only" in dict(rows)))
    assert list(table) == list(OPTIONS["memfis_mounts"]["options"])


@pytest.mark.parametrize("path", sorted(ROLE.rglob("*.yml")), ids=str)
def test_variables_have_a_prefix(path):
    content = yaml.safe_load(path.read_text())
    if path.parent.name in ("defaults", "vars"):
        prefix = "memfis_" if path.parent.name == "defaults" else "__memfis_"
        assert [name for name in content if not name.startswith(prefix)] == []
