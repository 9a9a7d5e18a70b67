"""Flags that several commands share, and the settings they lead to."""

import json
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from memfis import config
from memfis.config import Settings, Site, StoreAddress
from memfis.errors import UsageError
from memfis.store import Store

F = TypeVar("F", bound=Callable[..., Any])


def site_options(command: F) -> F:
    """Add --config, --site/--name, --root, --store and --index."""
    for option in reversed(
        [
            click.option("--config", "-c", metavar="FILE", help="Read this configuration."),
            click.option(
                "--site", "--name", "name", metavar="NAME", help="The site; all when it can be."
            ),
            click.option("--root", metavar="DIR", help="Its web root (without a configuration)."),
            click.option(
                "--store",
                metavar="URL",
                help="Its store: memcached://HOST:PORT or memcached:///path/to.sock.",
            ),
            click.option(
                "--index", multiple=True, metavar="FILE", help="Its index file names, in order."
            ),
        ]
    ):
        command = option(command)
    return command


def settings_of(
    given: str | None,
    name: str | None,
    root: str | None,
    store: str | None,
    index: tuple[str, ...] = (),
    *,
    need_root: bool = False,
) -> Settings:
    """Return the settings of the configuration with the flags put over them.

    Where flags name a site that the configuration does not have, it is made of the flags alone;
    the web root may be missing unless `need_root`.
    """
    path = config.configuration_path(given)
    settings = config.load(path) if path else Settings()
    import msgspec

    over: dict[str, Any] = {
        key: value
        for key, value in (("root", _absolute(root)), ("store", store), ("index", index))
        if value
    }
    configured = [site for site in settings.sites if name in (None, site.name)]
    if not configured or (root and name is None):
        if name is None or (need_root and root is None):
            raise UsageError(
                "no site: give --root DIR --name SITE --store URL, or a configuration"
                f" ({path or config.DEFAULT_PATH}) that has sites"
                if name is None or not settings.sites
                else f"site {name!r} is not configured in {path}, and there is no --root"
            )
        table: dict[str, Any] = {"name": name, "root": "/", "store": settings.store} | over
        flags = {key: _listed(value) for key, value in table.items()}
        made = config.settings_from({"sites": [flags]}, "flags")
        return msgspec.structs.replace(settings, sites=made.sites)
    if over:
        if len(configured) > 1:
            raise UsageError("--root, --store and --index need --site: there are several sites")
        if store:
            StoreAddress.parse(store)
        configured = [msgspec.structs.replace(configured[0], **over)]
    return msgspec.structs.replace(settings, sites=tuple(configured))


def _absolute(root: str | None) -> str | None:
    import os

    return os.path.abspath(root) if root else None


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def open_store(site: Site) -> Store:
    """Return the store of `site`, not yet connected."""
    return Store(StoreAddress.parse(site.store))


def print_json(document: Any) -> None:
    """Write `document` as the one JSON document on stdout."""
    json.dump(document, sys.stdout, ensure_ascii=True, indent=2)
    sys.stdout.write("\n")
