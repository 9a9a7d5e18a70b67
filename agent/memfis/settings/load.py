"""Settings: /etc/memfis/memfis.toml, MEMFIS_CONFIG, and what flags put over them."""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from memfis.errors import ConfigurationError, UsageError
from memfis.layout.compression import LEVEL, MIN_SAVING, MIN_SIZE, TYPES, Compression
from memfis.settings.addresses import ListenAddress as ListenAddress
from memfis.settings.addresses import StoreAddress as StoreAddress
from memfis.settings.gateway import EXPECTED_OF_GATEWAY, GatewaySettings
from memfis.settings.php import EXPECTED_OF_PHP
from memfis.settings.php import PhpSettings as PhpSettings

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

DEFAULT_PATH = Path("/etc/memfis/memfis.toml")
DEFAULT_STORE = "memcached://127.0.0.1:11211"
MAX_PAGE = 128 * 1024
"""Bytes of a page as stored: what nginx's memcached buffer takes whole (docs/architecture.md)."""

MIME_TYPES = "/etc/nginx/mime.types"

LEASE = 24 * 3600
"""Seconds that a page lives unless a running agent renews it."""

GATEWAY_LEASE = 7 * 24 * 3600
"""The same behind a gateway, where each renewal is a write that is replicated."""

MAX_DELETE = "50%"
"""Pages that a sync may remove: a number, or per cent of those recorded."""

SiteName = Annotated[str, Meta(pattern=r"^[a-z0-9.-]+\Z")]
AbsolutePath = Annotated[str, Meta(pattern=r"^/")]
Source = Literal["root", "store"]
IndexName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._~-]*\Z")]
Bytes = Annotated[int, Meta(ge=1)]
Lease = Annotated[int, Meta(ge=60)]
Limit = Annotated[str, Meta(pattern=r"^(\d+|\d\d?%|100%)\Z")]
CompressLevel = Annotated[int, Meta(ge=0, le=12)]
Extension = Annotated[str, Meta(pattern=r"^[^./]*\Z")]
MinSize = Annotated[int, Meta(ge=0)]
PerCent = Annotated[int, Meta(ge=0, le=100)]


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """One `[[sites]]` table; docs/architecture.md lists the settings."""

    name: SiteName
    source: Source = "root"
    """Where its pages come from: its web root on disk, or the store alone, filled by a mount."""
    root: AbsolutePath = ""
    """Empty for a site whose source is the store."""
    store: str = DEFAULT_STORE
    index: tuple[IndexName, ...] = ("index.html",)
    exclude: tuple[str, ...] = ()
    max_page: Bytes = MAX_PAGE
    origin: AbsolutePath | None = None
    reader: str | None = None
    lease: Lease | None = None
    """None: by the kind of store, LEASE or GATEWAY_LEASE."""
    max_delete: Limit = MAX_DELETE
    compress_level: CompressLevel = LEVEL
    compress_types: tuple[Extension, ...] = TYPES
    compress_min_size: MinSize = MIN_SIZE
    compress_min_saving: PerCent = MIN_SAVING
    default_type: str | None = None
    """What nginx takes for the type of a URL without a known extension; None: its own default."""
    charset: str | None = None
    """What nginx adds to the type of text; None: nothing."""
    php: PhpSettings | None = None
    """None: there is nothing but files, and nothing is rendered."""

    @property
    def compression(self) -> Compression:
        """What the settings `compress_*` say."""
        return Compression(
            self.compress_level,
            frozenset(extension.lower() for extension in self.compress_types),
            self.compress_min_size,
            self.compress_min_saving,
        )

    @property
    def index_name(self) -> bytes | None:
        """The index name that a directory URL is stored for, None when there is none.

        nginx gives a URL that ends in `/` the type text/html, so only such an index qualifies.
        """
        first = self.index[0] if self.index else ""
        return os.fsencode(first) if first.endswith((".html", ".htm")) else None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The whole configuration; those of `_INHERITED` are defaults for every site."""

    store: str = DEFAULT_STORE
    reader: str | None = None
    max_page: Bytes = MAX_PAGE
    lease: Lease | None = None
    max_delete: Limit = MAX_DELETE
    compress_level: CompressLevel = LEVEL
    compress_types: tuple[Extension, ...] = TYPES
    compress_min_size: MinSize = MIN_SIZE
    compress_min_saving: PerCent = MIN_SAVING
    runtime_directory: AbsolutePath | None = None
    metrics: str | None = None
    mime_types: AbsolutePath = MIME_TYPES
    """nginx's own list of types: what a page from memory will be sent as."""
    sites: tuple[Site, ...] = ()
    gateway: GatewaySettings | None = None

    def site(self, name: str | None) -> Site:
        """Return the site called `name`, or the only one there is; raises UsageError."""
        if name is None:
            if len(self.sites) == 1:
                return self.sites[0]
            known = ", ".join(site.name for site in self.sites) or "none configured"
            raise UsageError(f"which site? give one with --site ({known})")
        for site in self.sites:
            if site.name == name:
                return site
        known = ", ".join(site.name for site in self.sites) or "none"
        raise UsageError(f"site {name!r} is not configured (configured: {known})")


_EXPECTED = {
    "name": "expected a name of a-z, 0-9, '.' and '-'",
    "source": "expected 'root' or 'store'",
    "root": "expected an absolute path",
    "origin": "expected an absolute path",
    "runtime_directory": "expected an absolute path",
    "index": "expected a list of file names",
    "exclude": "expected a list of gitignore patterns",
    "max_page": "expected a number of bytes",
    "lease": "expected a number of seconds, 60 or more",
    "max_delete": "expected a number of pages or 0% to 100%, as a string",
    "compress_level": "expected 0 (do not compress) to 12",
    "compress_types": "expected a list of file name extensions, without the dot",
    "compress_min_size": "expected a number of bytes",
    "compress_min_saving": "expected a number of per cent, 0 to 100",
    "default_type": "expected a media type, as text/html",
    "charset": "expected the name of a charset",
    "mime_types": "expected an absolute path",
    **EXPECTED_OF_GATEWAY,
    **EXPECTED_OF_PHP,
}

_INHERITED = (
    *("store", "reader", "max_page", "lease", "max_delete"),
    *("compress_level", "compress_types", "compress_min_size", "compress_min_saving"),
)


def configuration_path(given: str | None) -> Path | None:
    """Return the file to read: `given`, else MEMFIS_CONFIG, else the default.

    None where the default is not there, or not for us: whoever names all by flags needs none.
    """
    named = given or os.environ.get("MEMFIS_CONFIG")
    if named:
        return Path(named)
    return DEFAULT_PATH if os.access(DEFAULT_PATH, os.R_OK) else None


def parse_patterns(patterns: Sequence[str]) -> "GitIgnoreSpec":
    """Return gitignore `patterns` ready to match; raises UsageError for one that does not parse."""
    from pathspec import GitIgnoreSpec  # most sites have no patterns

    for pattern in patterns:
        try:
            GitIgnoreSpec.from_lines([pattern])
        except (ValueError, re.error) as error:
            raise UsageError(f"pattern {pattern!r} does not parse: {error}") from error
    return GitIgnoreSpec.from_lines(patterns)


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
    problems: list[str] = []
    tables = table.get("sites", [])
    values = _checked(Settings, _without(table, "sites", "gateway"), "", problems)
    gateway = _gateway(table, problems)
    inherited = {key: values[key] for key in _INHERITED if key in values}
    sites: list[dict[str, Any]] = []
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        problems.append("sites: write each site as a [[sites]] table")
        tables = []
    for number, each in enumerate(tables):
        where = f"sites[{number}]."
        checked = inherited | _checked(Site, _without(each, "php"), where, problems)
        checked["php"] = _php(each, checked, where, problems)
        if "source" not in checked or checked["source"] == "root":
            if "root" not in each:
                problems.append(f"{where}root: is missing")
        elif "root" in each:
            problems.append(f"{where}root: a site whose source is the store has none")
        duplicate = [site for site in sites if site.get("name") == checked.get("name")]
        if duplicate and "name" in checked:
            problems.append(f"{where}name: {checked['name']!r} is the name of another site too")
        sites.append(checked)
    if problems:
        raise ConfigurationError(source, problems)
    return Settings(**values, gateway=gateway, sites=tuple(Site(**site) for site in sites))


def _without(table: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in keys}


def _php(
    table: Mapping[str, Any], site: Mapping[str, Any], where: str, problems: list[str]
) -> PhpSettings | None:
    """Return what the table `[sites.php]` of `table` says; None without one, or with problems."""
    if "php" not in table:
        return None
    where += "php"
    if not isinstance(table["php"], dict):
        problems.append(f"{where}: {_EXPECTED['php']}")
        return None
    before = len(problems)
    values = _checked(PhpSettings, table["php"], f"{where}.", problems)
    if site.get("source") == "store":
        problems.append(f"{where}: a site whose source is the store runs no PHP")
    elif "origin" not in table:
        problems.append(f"{where}: without 'origin' there is nobody to ask for pages")
    return PhpSettings(**values) if len(problems) == before else None


def _gateway(table: Mapping[str, Any], problems: list[str]) -> GatewaySettings | None:
    """Return what the table `[gateway]` says; None without one, or with problems."""
    if "gateway" not in table:
        return None
    if not isinstance(table["gateway"], dict):
        problems.append(f"gateway: {_EXPECTED['gateway']}")
        return None
    values = _checked(GatewaySettings, table["gateway"], "gateway.", problems)
    return None if problems else GatewaySettings(**values)


def _checked(
    struct: type[msgspec.Struct], table: Mapping[str, Any], where: str, problems: list[str]
) -> dict[str, Any]:
    """Return the settings of `table` that hold, and add a line to `problems` for each other."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    values = {}
    for key, value in table.items():
        if key not in fields:
            near = get_close_matches(key, fields, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            problems.append(f"{where}{key}: no such setting{hint}")
            continue
        try:
            values[key] = msgspec.convert(value, fields[key].type)
            if key == "store":
                StoreAddress.parse(values[key])
            elif key == "metrics":
                ListenAddress.parse(values[key])
            elif key == "listen":
                for address in values[key]:
                    ListenAddress.parse(address)
            elif key in ("exclude", "purge_on_change"):
                parse_patterns(values[key])
        except msgspec.ValidationError as error:
            table_name = where.rstrip(".").rpartition(".")[2]
            expected = _EXPECTED.get(f"{table_name}.{key}") or _EXPECTED.get(key, str(error))
            problems.append(f"{where}{key}: {expected} (it is {value!r})")
        except UsageError as error:
            problems.append(f"{where}{key}: {error}")
    problems += [
        f"{where}{key}: is missing"
        for key, field in fields.items()
        if field.required and key not in table
    ]
    return values
