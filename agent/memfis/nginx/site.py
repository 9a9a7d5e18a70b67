"""Render nginx's configuration from the templates that Ansible uses too."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from memfis.settings.addresses import StoreAddress
from memfis.settings.media_types import all_types
from memfis.settings.site import SITE
from memfis.settings.values import Site


def site_variables(
    site: Site, listen: list[str], server_names: list[str], mime_types: str
) -> dict[str, Any]:
    """Return the variable `site` of templates/nginx/site.conf.j2.

    `mime_types`: the text of nginx's own list of types.
    """
    store = StoreAddress.parse(site.store)
    return SITE.defaults("nginx") | {
        "name": site.name,
        "server_names": server_names,
        "listen": listen,
        "source": site.source,
        "from_memory": site.from_memory,
        "root": site.root,
        "index": list(site.index),
        "script_extensions": list(site.script_extensions),
        "runs_scripts": site.runs_scripts,
        "types": all_types(mime_types, site.types or {}),
        "max_page": site.max_page,
        "compress_types": list(site.compress_types),
        "store_address": f"unix:{store.path}" if store.path else f"{store.host}:{store.port}",
        "origin_socket": site.origin,
    }


def render(template: str, **variables: Any) -> str:
    """Return the configuration that templates/nginx/`template` makes of `variables`."""
    environment = Environment(  # noqa: S701  # configuration, not HTML
        loader=PackageLoader("memfis", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(f"nginx/{template}").render(**variables)
