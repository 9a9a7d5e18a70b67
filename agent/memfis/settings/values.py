"""Settings as programs get them, once they are loaded: what memfis.toml says, and defaults.

Names, defaults and rules are declared in the tables beside this module; a test holds the fields
here against them.
"""

import os
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from memfis.errors import UsageError
from memfis.layout.compression import Compression
from memfis.settings.agent import AGENT, SITE_IN_TOML
from memfis.settings.declare import Table
from memfis.settings.fleet import FLEET
from memfis.settings.gateway import GATEWAY
from memfis.settings.php import PHP
from memfis.settings.server_names import fitness

Source = Literal["root", "store"]
FromMemory = Literal["lua", "memcached_pass", "off"]


def _default(table: Table, name: str) -> Any:
    """Return the declared default of `name`, as programs get it."""
    setting = table[name].as_in_toml
    return None if setting.default is None else setting.kind.read(setting.default)


class PhpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[sites.php]`, as far as the agent goes. Times in seconds; URL paths percent-encoded."""

    canonical: str
    """Scheme, host and port that pages are rendered for."""
    lifetime: int = _default(PHP, "lifetime")
    stale_if_error: int = _default(PHP, "stale_if_error")
    stale_while_revalidate: int = _default(PHP, "stale_while_revalidate")
    render: tuple[str, ...] = ()
    sitemaps: tuple[str, ...] = ()
    concurrency: int = _default(PHP, "concurrency")
    timeout: float = _default(PHP, "timeout")
    max_pages: int = _default(PHP, "max_pages")
    purge_on_change: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    """Other hosts, as URLs, that are told what is purged here."""
    page_end: str | None = None
    """What every page of HTML ends with; None: what begins with `<html` ends with `</html>`."""
    hints: str | None = None
    purge: str | None = None
    microcache: str | None = None

    @property
    def host(self) -> str:
        """The `Host:` that pages are asked for with."""
        return self.canonical.partition("://")[2].rstrip("/")


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The table `[gateway]`. Times in seconds, sizes in bytes."""

    connection: str
    bucket: str = _default(GATEWAY, "bucket")
    user: str
    password_file: str
    certificate: str | None = None
    listen: tuple[str, ...] = _default(GATEWAY, "listen")
    metrics: str | None = None
    hot_bytes: int = _default(GATEWAY, "hot_bytes")
    hot_ttl: float = _default(GATEWAY, "hot_ttl")
    stale_if_error: float = _default(GATEWAY, "stale_if_error")
    timeout: float = _default(GATEWAY, "timeout")
    write_timeout: float = _default(GATEWAY, "write_timeout")
    breaker_failures: int = _default(GATEWAY, "breaker_failures")
    breaker_retry: float = _default(GATEWAY, "breaker_retry")
    room: int = _default(GATEWAY, "room")
    max_item: int = _default(GATEWAY, "max_item")
    max_connections: int = _default(GATEWAY, "max_connections")
    buffer_bytes: int = _default(GATEWAY, "buffer_bytes")
    client_timeout: float = _default(GATEWAY, "client_timeout")
    drain_timeout: float = _default(GATEWAY, "drain_timeout")
    allow_flush: bool = _default(GATEWAY, "allow_flush")
    read_only: bool = _default(GATEWAY, "read_only")
    boxes: bool = _default(GATEWAY, "boxes")


class FleetSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The table `[fleet]`: hosts that share the store."""

    host: str
    """This one, among `hosts`."""
    hosts: tuple[str, ...]
    publisher: str
    takeover: bool = _default(FLEET, "takeover")

    @property
    def others(self) -> tuple[str, ...]:
        """The hosts but this one."""
        return tuple(each for each in self.hosts if each != self.host)


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """One `[[sites]]` table."""

    name: str
    server_names: tuple[str, ...] = ()
    """As nginx has them; empty: the name alone."""
    source: Source = _default(SITE_IN_TOML, "source")
    from_memory: FromMemory = _default(SITE_IN_TOML, "from_memory")
    """What takes its pages from memory in nginx."""
    root: str = ""
    """Empty for a site whose source is the store."""
    store: str = _default(SITE_IN_TOML, "store")
    first_level: str | None = None
    """Where nginx is told what changed; None: it keeps nothing in memory of its own."""
    gates: str | None = None
    """Where the agent makes a link to the store that nginx may ask; None: nowhere."""
    index: tuple[str, ...] = _default(SITE_IN_TOML, "index")
    exclude: tuple[str, ...] = ()
    follow: tuple[str, ...] = ()
    """Absolute paths outside the root, as they were given: they may be links, or missing."""
    content_check: Literal["changed", "always"] = _default(SITE_IN_TOML, "content_check")
    script_extensions: tuple[str, ...] = _default(SITE_IN_TOML, "script_extensions")
    runs_scripts: bool = _default(SITE_IN_TOML, "runs_scripts")
    types: Mapping[str, str] | None = None
    """None: as `mime_types` has them, and the rest as memfis has."""
    max_page: int = _default(SITE_IN_TOML, "max_page")
    origin: str | None = None
    reader: str | None = None
    lease: int | None = None
    """None: by the kind of store, LEASE or GATEWAY_LEASE."""
    max_delete: str = _default(SITE_IN_TOML, "max_delete")
    delete_grace: int = _default(SITE_IN_TOML, "delete_grace")
    """Seconds that a run of deletions is held by the agent; 0: none is."""
    compress_level: int = _default(SITE_IN_TOML, "compress_level")
    compress_types: tuple[str, ...] = _default(SITE_IN_TOML, "compress_types")
    compress_min_size: int = _default(SITE_IN_TOML, "compress_min_size")
    compress_min_saving: int = _default(SITE_IN_TOML, "compress_min_saving")
    default_type: str | None = None
    """What nginx takes for the type of a URL without a known extension; None: its own default."""
    charset: str | None = None
    """What nginx adds to the type of text; None: nothing."""
    php: PhpSettings | None = None
    """None: there is nothing but files, and nothing is rendered."""

    @property
    def in_memory(self) -> bool:
        """Whether its pages are in memory; else nobody asks for them, and none may be left."""
        return self.from_memory != "off"

    @property
    def has_heads(self) -> bool:
        """Whether pages of files have heads: only the reader in Lua asks for them.

        What comes by a mount has none: there is no disk whose validators the reader has to give.
        """
        return self.from_memory == "lua" and self.source != "store"

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
    """The whole configuration; those of `INHERITED` are defaults for every site."""

    version: str | None = None
    store: str = _default(AGENT, "store")
    first_level: str | None = None
    gates: str | None = None
    reader: str | None = None
    max_page: int = _default(AGENT, "max_page")
    lease: int | None = None
    max_delete: str = _default(AGENT, "max_delete")
    delete_grace: int = _default(AGENT, "delete_grace")
    compress_level: int = _default(AGENT, "compress_level")
    compress_types: tuple[str, ...] = _default(AGENT, "compress_types")
    compress_min_size: int = _default(AGENT, "compress_min_size")
    compress_min_saving: int = _default(AGENT, "compress_min_saving")
    runtime_directory: str | None = None
    metrics: str | None = None
    mime_types: str = _default(AGENT, "mime_types")
    sites: tuple[Site, ...] = ()
    has_none: bool = False
    """There is no site on purpose: it says `sites = []`."""
    gateway: GatewaySettings | None = None
    fleet: FleetSettings | None = None
    """None: no other host fills the store."""
    installation: str | None = ""
    """Whose configuration this is, as sites are marked in the store; empty: flags', None: it cannot
    be told (service/installation.py)."""

    @property
    def kept(self) -> tuple[Site, ...]:
        """The sites whose pages are in memory."""
        return tuple(site for site in self.sites if site.in_memory)

    @property
    def switched_off(self) -> tuple[Site, ...]:
        """The others: with `from_memory = "off"`."""
        return tuple(site for site in self.sites if not site.in_memory)

    def site_at(self, host: str) -> Site:
        """Return the site that answers for `host`, or the only one there is; raises UsageError."""
        if len(self.sites) == 1:
            return self.sites[0]
        fitting = [
            (found, number)
            for number, site in enumerate(self.sites)
            if (found := fitness(site.server_names or (site.name,), host)) is not None
        ]
        if not fitting:
            configured = ", ".join(site.name for site in self.sites)
            raise UsageError(f"which site is {host}? give one with --site ({configured})")
        return self.sites[min(fitting)[1]]

    def site(self, name: str | None) -> Site:
        """Return the site called `name`, or the only one there is; raises UsageError."""
        if name is None:
            if len(self.sites) == 1:
                return self.sites[0]
            configured = ", ".join(site.name for site in self.sites) or "none configured"
            raise UsageError(f"which site? give one with --site, or a URL ({configured})")
        for site in self.sites:
            if site.name == name:
                return site
        configured = ", ".join(site.name for site in self.sites) or "none"
        raise UsageError(f"site {name!r} is not configured (configured: {configured})")
