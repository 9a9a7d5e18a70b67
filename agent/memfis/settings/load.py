"""Loading settings: /etc/memfis/memfis.toml, MEMFIS_CONFIG, or a table that flags make."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from memfis import __version__
from memfis.errors import ConfigurationError
from memfis.settings.agent import AGENT, INHERITED, SITE_IN_TOML
from memfis.settings.fleet import FLEET, fleet_problems
from memfis.settings.follow import follow_problems
from memfis.settings.gateway import GATEWAY
from memfis.settings.php import PHP
from memfis.settings.site import source_problems
from memfis.settings.sites import names_twice
from memfis.settings.values import FleetSettings, GatewaySettings, PhpSettings, Settings, Site

DEFAULT_PATH = Path("/etc/memfis/memfis.toml")

_PHP_IN_TOML = PHP.in_toml()


def configuration_path(given: str | None) -> Path | None:
    """Return the file to read: `given`, else MEMFIS_CONFIG, else the default.

    None where the default is not there, or not for us: whoever names all by flags needs none.
    """
    named = given or os.environ.get("MEMFIS_CONFIG")
    if named:
        return Path(named)
    return DEFAULT_PATH if os.access(DEFAULT_PATH, os.R_OK) else None


def load(path: Path) -> Settings:
    """Read the configuration at `path`; raises ConfigurationError with every problem in it."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(str(path), [f"is not TOML: {error}"]) from error
    return settings_from(table, str(path))


def settings_from(table: Mapping[str, Any], source: str) -> Settings:
    """Check the configuration `table`; raises ConfigurationError naming `source`."""
    # What a newer version added would only be named as unknown.
    problems = list(_of_newer_version(table.get("version"))) or list(_problems(table))
    if problems:
        raise ConfigurationError(source, problems)
    values = AGENT.read(table)
    inherited = {key: values[key] for key in INHERITED if key in values}
    sites = tuple(_site(each, inherited) for each in table.get("sites", ()))
    gateway = GatewaySettings(**GATEWAY.read(table["gateway"])) if "gateway" in table else None
    fleet = FleetSettings(**FLEET.read(table["fleet"])) if "fleet" in table else None
    none = table.get("sites") == []
    return Settings(**values, gateway=gateway, fleet=fleet, sites=sites, has_none=none)


def _site(table: Mapping[str, Any], inherited: dict[str, Any]) -> Site:
    values = inherited | SITE_IN_TOML.read(table)
    if "php" in table:
        values["php"] = PhpSettings(**_PHP_IN_TOML.read(table["php"]))
    return Site(**values)


def _of_newer_version(version: object) -> Iterator[str]:
    if not isinstance(version, str):
        return
    written, ours = (
        [int(number) for number in re.findall(r"\d+", each)[:3]] for each in (version, __version__)
    )
    if written > ours:
        yield (
            f"version: was written for memfis {version}, and this is {__version__}: install that"
            " version, or write the file anew with the role of this one"
        )


def _problems(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for everything that is wrong with the configuration."""
    yield from AGENT.problems(
        {key: value for key, value in table.items() if key not in ("sites", "gateway", "fleet")},
        "",
        as_text=False,
    )
    if "gateway" in table:
        yield from GATEWAY.problems(table["gateway"], "gateway", as_text=False)
    if "fleet" in table:
        wrong = list(FLEET.problems(table["fleet"], "fleet", as_text=False))
        yield from wrong or fleet_problems(table["fleet"])
    sites = table.get("sites", [])
    if not isinstance(sites, list) or not all(isinstance(each, dict) for each in sites):
        yield "sites: write each site as a [[sites]] table"
        return
    for number, site in enumerate(sites):
        yield from _problems_of_site(site, f"sites[{number}]")
    yield from names_twice(sites, "sites")
    yield from follow_problems(sites, "sites")


def _problems_of_site(site: Mapping[str, Any], where: str) -> Iterator[str]:
    yield from SITE_IN_TOML.problems(site, where, as_text=False)
    yield from (f"{where}.{line}" for line in source_problems(site))
    php = site.get("php")
    if isinstance(php, dict) and site.get("source") != "store" and "origin" not in site:
        yield f"{where}.php: without 'origin' there is nobody to ask for pages"
