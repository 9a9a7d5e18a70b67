"""The settings of a site have the same names and defaults wherever they are written."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

from memfis.config import MAX_PAGE, Site
from memfis.serve.site import SITE_DEFAULTS, site_variables

ROOT = Path(__file__).parents[2]


def of_the_role(**site: Any) -> dict[str, Any]:
    """Return the variable `site` as the role makes it."""
    spec = importlib.util.spec_from_file_location(
        "memfis_filters", ROOT / "roles/memfis/filter_plugins/memfis.py"
    )
    assert spec is not None
    assert spec.loader is not None
    filters = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(filters)
    defaults = {
        "listen": ["80"],
        "tls_listen": ["443"],
        "max_page": MAX_PAGE,
        "header": "X-Memfis",
        "store_address": "unix:/run/m.sock",
    }
    [complete] = filters.site_settings([site], defaults)
    found: dict[str, Any] = complete
    return found


def of_serve() -> dict[str, Any]:
    """Return the variable `site` as `memfis serve` makes it."""
    site = Site(name="a.example", root="/srv/a", store="memcached:///run/m.sock", origin="/run/o")
    return site_variables(site, ["80"], ["a.example"])


def documented() -> set[str]:
    """Return the keys of the table in docs/architecture.md."""
    text = (ROOT / "docs/architecture.md").read_text()
    table = text[text.index("## Settings of a site") : text.index("`memfis.toml`:")]
    return set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


def test_the_role_and_serve_make_the_same_variable() -> None:
    role = of_the_role(server_names=["a.example"], root="/srv/a", origin_socket="/run/o")
    serve = of_serve()
    assert set(role) - {"src", "exclude"} == set(serve)
    assert {key: role[key] for key in serve} == serve
    assert serve | SITE_DEFAULTS == serve


def test_the_table_of_the_documentation_has_every_setting() -> None:
    assert documented() == set(of_serve()) | {"exclude"}


def test_the_argument_specification_has_every_setting() -> None:
    specs = yaml.safe_load((ROOT / "roles/memfis/meta/argument_specs.yml").read_text())
    options = specs["argument_specs"]["main"]["options"]["memfis_sites"]["options"]
    assert set(options) == documented() | {"src"}


def test_what_the_agent_reads_is_documented() -> None:
    renamed = {"store": "store_address", "origin": "origin_socket"}
    fields = {renamed.get(f.name, f.name) for f in msgspec.structs.fields(Site)}
    assert fields - documented() == {"reader", "lease"}  # set for all sites at once
