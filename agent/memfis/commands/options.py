"""Flags that several commands share, and the settings they lead to."""

import functools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace as replace_flags
from typing import Any
from urllib.parse import urlsplit

import click
from msgspec.structs import replace

from memfis.catalog.catalog import Catalog
from memfis.catalog.source import Source, declared_source, source_of
from memfis.commands.completion import directories, site_names
from memfis.errors import UsageError
from memfis.layout.keys import check_site_name
from memfis.service.installation import mark
from memfis.settings import load as configuration
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import Settings, Site
from memfis.store import Store

NOWHERE = "/"
"""The web root of a site of which flags give none: no setting may be that."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@dataclass(frozen=True)
class SiteFlags:
    """What the flags say of the site or sites meant."""

    config: str | None = None
    name: str | None = None
    root: str | None = None
    store: str | None = None
    index: tuple[str, ...] = ()

    def settings(
        self,
        *,
        need_root: bool = False,
        ask_store: bool = False,
        may_be_empty: bool = False,
        source: Source = Source.ROOT,
    ) -> Settings:
        """Return the settings of the configuration with the flags put over them.

        A site that the configuration does not have is made of the flags alone, with that `source`,
        or with `ask_store` with the one that its item has. It may do without a web root unless
        `need_root`. There may be none, where that is said on purpose, if it `may_be_empty`. Raises
        UsageError, ConfigurationError, and StoreError when the store cannot be asked.
        """
        path = configuration.configuration_path(self.config)
        settings = Settings()
        if path:
            settings = replace(configuration.load(path), installation=mark(path))
        over: dict[str, Any] = {
            key: value
            for key, value in (
                ("root", self.root and os.path.abspath(self.root)),
                ("store", self.store),
                ("index", self.index),
            )
            if value
        }
        if may_be_empty and settings.has_none:
            return settings
        known = [site for site in settings.sites if self.name in (None, site.name)]
        if not known or (self.root and not self.name):
            if not self.name:
                flags = "--root DIR --name SITE" if source is Source.ROOT else "--site NAME"
                raise UsageError(
                    f"no site: give {flags} --store URL, or a configuration with sites"
                    f" ({path or _why_none()})"
                )
            filled = {"root": NOWHERE} if source is Source.ROOT else {"source": source.value}
            table = {"name": self.name, "store": settings.store} | filled | over
            [made] = configuration.settings_from({"sites": [table]}, "flags").sites
            if ask_store and not self.root:
                made = self._as_stored(made)
            if need_root and not self.root and declared_source(made) is Source.ROOT:
                place = f"is not in {path}" if path else f"is unknown ({_why_none()})"
                raise UsageError(f"site {self.name!r} {place}, and there is no --root")
            return replace(settings, sites=(made,), installation="")
        if over and len(known) > 1:
            raise UsageError("--root, --store and --index need --site: there are several sites")
        if self.root and declared_source(known[0]) is Source.STORE:
            raise UsageError(f"{known[0].name} is filled through a mount: it takes no --root")
        if self.store:
            StoreAddress.parse(self.store)
        return replace(settings, sites=tuple(replace(site, **over) for site in known))

    def at(self, text: str) -> "tuple[SiteFlags, str]":
        """Return the flags for the site that the URL `text` is of, and its path with what follows.

        --site counts before the host. What is no URL is returned as it is. Raises UsageError.
        """
        scheme, mark, rest = text.partition("://")
        if not mark or scheme.lower() not in ("http", "https"):
            return self, text
        try:
            host = urlsplit(text).hostname
        except ValueError as error:
            raise UsageError(f"{text!r}: {error}") from error
        if not host:
            raise UsageError(f"{text!r}: has no host")
        path = "/" + rest.partition("/")[2]
        return self if self.name else replace_flags(self, name=self._site_at(host)), path

    def _site_at(self, host: str) -> str:
        path = configuration.configuration_path(self.config)
        settings = configuration.load(path) if path else Settings()
        return settings.site_at(host).name if settings.sites else check_site_name(host)

    @property
    def means_all(self) -> bool:
        """Whether every site of the configuration is meant, as it says."""
        return not (self.name or self.root or self.store)

    def _as_stored(self, site: Site) -> Site:
        """Return `site` as its own item has it, if that says that the store is its source."""
        store = open_store(site)
        try:
            item = Catalog(store, site.name).site_item()
        finally:
            store.close()
        if item is None or source_of(site, item) is not Source.STORE:
            return site
        return replace(site, source="store", root="", index=self.index or item.index)

    def site(self, source: Source = Source.ROOT) -> Site:
        """Return the one site meant, see `settings`; raises UsageError when there are several."""
        return self.settings(source=source).site(self.name)


def _why_none() -> str:
    """Return why no configuration is read, and what to do about it."""
    try:
        os.stat(configuration.DEFAULT_PATH)
    except FileNotFoundError:
        return f"{configuration.DEFAULT_PATH} is not there"
    except OSError:
        pass
    return f"{configuration.DEFAULT_PATH} is not for you to read: use sudo"


_OPTIONS = (
    click.option("--config", "-c", metavar="FILE", help="Read this configuration."),
    click.option(
        *("--site", "--name", "name"),
        metavar="NAME",
        shell_complete=site_names,
        help="The site; default: all.",
    ),
    click.option(
        "--root",
        metavar="DIR",
        shell_complete=directories,
        help="Its web root (without a configuration).",
    ),
    click.option(
        "--store",
        metavar="URL",
        help="Its store: memcached://HOST:PORT or memcached:///path/to.sock.",
    ),
    click.option("--index", multiple=True, metavar="FILE", help="Its index file names, in order."),
)


def site_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the flags that name sites; `command` gets them as its first argument, a SiteFlags."""

    @functools.wraps(command)
    def with_flags(
        config: str | None,
        name: str | None,
        root: str | None,
        store: str | None,
        index: tuple[str, ...],
        **others: Any,
    ) -> int:
        return command(SiteFlags(config, name, root, store, index), **others)

    wrapped: Callable[..., int] = with_flags
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def open_store(site: Site) -> Store:
    """Return the store of `site`, not yet connected."""
    return Store.of(site)


def print_json(document: Any) -> None:
    """Write `document` as the one JSON document on stdout."""
    json.dump(document, sys.stdout, ensure_ascii=True, indent=2)
    sys.stdout.write("\n")
