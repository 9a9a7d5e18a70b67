"""The variables of memfis_couchbase are an interface: defaults, argument_specs and README agree."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROLE = ROOT / "roles" / "memfis_couchbase"
DEFAULTS = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
SPECS = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())
OPTIONS = SPECS["argument_specs"]["main"]["options"]
ROWS = re.findall(r"^\| `(\w+)` \| *([^|]*?) *\|", (ROLE / "README.md").read_text(), re.MULTILINE)


def test_every_variable_is_described_with_its_default() -> None:
    assert {name: option["default"] for name, option in OPTIONS.items()} == DEFAULTS
    assert [name for name, _ in ROWS] == list(DEFAULTS)
    for name, shown in ROWS:
        default = DEFAULTS[name]
        if isinstance(default, str) and "{{" in default:
            continue
        if default == "":
            assert shown == "empty", name
        elif isinstance(default, list):
            assert shown == f"`[{', '.join(default)}]`", name
        else:
            text = str(default).lower() if isinstance(default, bool) else str(default)
            assert shown == f"`{text}`", name


def test_both_roles_call_the_same_things_alike() -> None:
    other = yaml.safe_load((ROOT / "roles" / "memfis" / "defaults" / "main.yml").read_text())
    shared = DEFAULTS.keys() & other.keys()
    assert {"memfis_couchbase_bucket", "memfis_couchbase_user"} <= shared
    assert {name: DEFAULTS[name] for name in shared} == {name: other[name] for name in shared}


def test_passwords_are_not_logged() -> None:
    for name, option in OPTIONS.items():
        if name.endswith("password"):
            assert option["no_log"] is True, name
    assert OPTIONS["memfis_couchbase_users"]["options"]["password"]["no_log"] is True


@pytest.mark.parametrize("path", sorted(ROLE.rglob("*.yml")), ids=str)
def test_variables_have_a_prefix(path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    if path.parent.name in ("defaults", "vars"):
        prefix = "memfis_couchbase_" if path.parent.name == "defaults" else "__memfis_couchbase_"
        assert [name for name in content if not name.startswith(prefix)] == []
