"""What the role memfis makes of its variables: their problems, and sites and mounts complete.

Only the standard library: the role's filters call this on the controller (docs/settings.md).
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from memfis.settings.couchbase import COUCHBASE
from memfis.settings.declare import Table
from memfis.settings.follow import follow_problems
from memfis.settings.gateway import GATEWAY
from memfis.settings.host import HOST, absent_problems, couchbase_problems, store_problems
from memfis.settings.kinds import nearest
from memfis.settings.media_types import all_types
from memfis.settings.mount import MOUNT, mounts_together
from memfis.settings.nginx_lines import has_types
from memfis.settings.php import PHP, canonical_of
from memfis.settings.site import SITE, runs_scripts, site_name, source_problems
from memfis.settings.site_parts import TLS
from memfis.settings.sites import defaults_twice, names_twice, server_names_twice
from memfis.settings.visitors import APPLICATIONS, HARMLESS_COOKIES, OWN_HEADERS

NEARLY = 0.9
"""How alike the name of a variable must be to one of ours to be taken for a slip of the pen."""


def own_names(names: Sequence[str]) -> list[str]:
    """Return those of `names` that are variables of the role memfis."""
    return [name for name in names if name in HOST.names]


def problems(
    variables: Mapping[str, Any], names: Sequence[str], host: Mapping[str, Any]
) -> list[str]:
    """Return one line for every mistake in the role's `variables`.

    `names`: of all variables that begin with memfis_, ours or not. `host` has what the role knows
    beside them: `users`, names that PHP may not run as; `publishes`, whether this host fills the
    store; `connection` to Couchbase as it is worked out; `web`, the hosts of the group memfis_web;
    `playbook`, the directory of the playbook.
    """
    wrong = list(_misspelt(names))
    wrong += HOST.problems(variables, "", as_text=True, unknown=False)
    twice = list(_between_sites(variables.get("memfis_sites")))
    # What else does not go together can only be said of values that are what they should be.
    together = [] if wrong else _together(HOST.defaults() | HOST.read(variables), host)
    return [*wrong, *twice, *together]


def site_problems(sites: object, *, own_pool: bool = True) -> list[str]:
    """Return one line for every mistake in `sites` (memfis_sites).

    `own_pool`: the host has the role's own pool of php-fpm.
    """
    found = list(HOST["memfis_sites"].kind.problems(sites, "memfis_sites", as_text=True))
    found += _between_sites(sites)
    return found + (list(_pools(sites, own_pool=own_pool)) if _are_tables(sites) else [])


def mount_problems(mounts: object, sites: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one line for every mistake in `mounts` (memfis_mounts); `sites` have none."""
    found = list(HOST["memfis_mounts"].kind.problems(mounts, "memfis_mounts", as_text=True))
    if found or not isinstance(mounts, list | tuple):
        return found
    return list(mounts_together(mounts, sites, "memfis_mounts"))


def couchbase_host_problems(variables: Mapping[str, Any]) -> list[str]:
    """Return one line for every mistake in `variables` of the role memfis_couchbase, by name."""
    return list(COUCHBASE.problems(variables, "", as_text=True, unknown=False))


def _are_tables(sites: object) -> TypeGuard[Sequence[Mapping[str, Any]]]:
    return isinstance(sites, list | tuple) and all(isinstance(each, Mapping) for each in sites)


def _between_sites(sites: object) -> Iterator[str]:
    if _are_tables(sites):
        yield from names_twice(sites, "memfis_sites")
        yield from follow_problems(sites, "memfis_sites")


def source_path(src: str, playbook: str) -> str:
    """Return where the content `src` of a site is on the controller.

    `~` is the home of who runs the play; a relative path begins at `playbook`, its directory.
    """
    return os.path.join(playbook, os.path.expanduser(src))


def _no_content(sites: Sequence[Mapping[str, Any]], playbook: str) -> Iterator[str]:
    for number, site in enumerate(sites):
        src = site.get("src")
        if src and not os.path.isdir(path := source_path(src, playbook)):
            yield (
                f"memfis_sites[{number}].src: {src!r}: there is no such directory on the"
                f" controller ({os.path.abspath(path)})"
            )


def strange_names(names: Sequence[str]) -> list[str]:
    """Return those of `names`, variables that begin with memfis_, that are not even nearly ours."""
    known = (*_OURS, *HOST.renamed)
    return [name for name in names if name not in known and not nearest(name, _OURS, NEARLY)]


_OURS = (*HOST.names, *COUCHBASE.names)


def _misspelt(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name in HOST.renamed:
            yield f"{name}: no such variable any more; write {HOST.renamed[name]}"
        elif name not in _OURS and (near := nearest(name, _OURS, NEARLY)):
            yield f"{name}: no such variable{near}"


def _together(values: Mapping[str, Any], host: Mapping[str, Any]) -> Iterator[str]:
    """Yield what does not go together in `values`, the variables as programs get them."""
    reader, mounts = values["memfis_from_memory"] or "lua", values["memfis_mounts"]
    sites = [{"from_memory": reader, **site} for site in values["memfis_sites"]]
    yield from _pools(sites, own_pool=values["memfis_php"])
    yield from defaults_twice(sites, ["80"], ["443"], "memfis_sites")
    yield from server_names_twice(sites, ["80"], ["443"], "memfis_sites")
    yield from _no_content(sites, host["playbook"])
    yield from _not_by(reader, values["memfis_sites"])
    yield from mounts_together(mounts, sites, "memfis_mounts")
    yield from store_problems(values, publishes=host["publishes"])
    yield from absent_problems(values)
    if values["memfis_php"] and values["memfis_php_user"] in host["users"]:
        yield (
            f"memfis_php_user: {values['memfis_php_user']!r}: may use the store's socket, or is"
            " another service's: PHP needs a user of its own"
        )
    if values["memfis_store"] == "couchbase":
        yield from couchbase_problems(values, host["connection"], host["web"])


def _not_by(reader: str, sites: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for every site that `reader`, the host's default, is none for."""
    for number, site in enumerate(sites):
        if "from_memory" not in site:
            found = source_problems({**site, "from_memory": reader})
            yield from (f"memfis_sites[{number}].{line} (memfis_from_memory)" for line in found)


def _pools(sites: Sequence[Mapping[str, Any]], *, own_pool: bool) -> Iterator[str]:
    for number, site in enumerate(sites):
        php = site.get("php")
        if isinstance(php, Mapping) and not php.get("backends") and not own_pool:
            yield (
                f"memfis_sites[{number}].php.backends: is missing: name php-fpm's sockets, or let"
                " the role install it (memfis_php: true)"
            )


_OF_HOST = ("listen", "max_page", "header", "from_memory", "proxies", "store_address")
"""Settings of a site that the host has a default for."""


def complete_sites(
    sites: Sequence[Mapping[str, Any]], defaults: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return `sites` with every setting present, as the templates of nginx and of the agent want.

    `defaults` are those that the host makes: listen, tls_listen, max_page, header, from_memory,
    proxies, store_address; `types`, what its nginx says of them (`media_types.types_in`);
    `http2_directive`, whether its nginx has `http2 on`, and warns of a `listen` that says http2
    (from 1.25.1);
    and of PHP, as the key `php`: backends, hints, purge, microcache (a directory, below which each
    site has its own) and access_log; `peers`, addresses of other hosts with stores of their own.
    """
    return [_complete(site, defaults) for site in sites]


def _complete(site: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    given = _plain(SITE, site)
    name = site_name(site)
    usual = {
        "name": name,
        "root": "",
        "src": "",
        "origin_socket": f"/run/memfis-origin/{name}.sock",
        "runs_scripts": runs_scripts(site),
        **_plain(SITE, {key: defaults[key] for key in _OF_HOST}),
    }
    own = has_types(given.get("extra", ""))
    given["types"] = {} if own else all_types(defaults["types"], given.get("types", {}))
    if "tls" in given:
        usual_tls = TLS.defaults() | {"listen": defaults["tls_listen"]}
        http2 = {"http2_directive": defaults["http2_directive"]}
        given["tls"] = usual_tls | _plain(TLS, given["tls"]) | http2
    if "php" in given:
        usual |= {"index": ["index.php", "index.html"], "charset": "utf-8"}
        of_host = {
            **defaults["php"],
            "canonical": canonical_of(site, defaults["proxies"]),
            "microcache": f"{defaults['php']['microcache']}/{name}",
        }
        given["php"] = PHP.defaults() | of_host | _told_apart(_plain(PHP, given["php"]))
        _add_peers(given["php"], defaults.get("peers", ()), SITE.defaults() | usual | given)
    return SITE.defaults() | usual | given


def _add_peers(php: dict[str, Any], peers: Sequence[str], site: Mapping[str, Any]) -> None:
    """Let `php` of the complete `site` tell `peers` what is purged, and hear it from them."""
    php["purge_from"] = [*php["purge_from"], *peers]
    scheme, listen = ("https", site["tls"]["listen"]) if site["tls"] else ("http", site["listen"])
    ports = [str(each).split()[0].rpartition(":")[2] for each in listen]
    port = next((each for each in ports if each.isdigit()), None)
    if not php["peers"] and port is not None:
        usual = port == {"http": "80", "https": "443"}[scheme]
        hosts = [f"[{peer}]" if ":" in peer else peer for peer in peers]
        php["peers"] = [f"{scheme}://{host}{'' if usual else f':{port}'}" for host in hosts]


def _told_apart(php: dict[str, Any]) -> dict[str, Any]:
    """Return `php`, as it is given, with what is known of cookies, headers and its application."""
    found = php | {
        "harmless_cookies": [*HARMLESS_COOKIES, *php.get("harmless_cookies", ())],
        "own_headers": [*OWN_HEADERS, *php.get("own_headers", ())],
    }
    if "application" in php:
        application = APPLICATIONS[php["application"]]
        found["cookies"] = [*application.cookies, *php.get("cookies", ())]
        found.setdefault("page_end", application.page_end)
    return found


def complete_mounts(mounts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return `mounts` (memfis_mounts) with every setting present."""
    return [MOUNT.defaults() | _plain(MOUNT, mount) for mount in mounts]


def complete_gateway(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `given` (memfis_gateway) with the defaults of what it leaves out."""
    return GATEWAY.defaults() | _plain(GATEWAY, given)


def store_url(address: str) -> str:
    """Return nginx's `address` of a store (unix:PATH or HOST:PORT) as the agent has it."""
    return "memcached://" + address.removeprefix("unix:")


def for_agent(site: Mapping[str, Any], store_address: str) -> dict[str, Any]:
    """Return what memfis.toml says of the complete `site`: its own settings, and `php` with PHP's.

    `store_address` is that of all sites. What has the agent's own default is left out.
    """
    without = ["root", "origin"] if site["source"] == "store" else []
    if site["php"] is None or not site["types"]:
        without.append("types")  # only of what is rendered the agent must know the type
    table = _in_toml(SITE, site, without)
    if site["store_address"] != store_address:
        table["store"] = store_url(site["store_address"])
    if site["php"] is not None:
        table["php"] = _in_toml(PHP, site["php"])
    return table


def _in_toml(
    table: Table, values: Mapping[str, Any], without: Collection[str] = ()
) -> dict[str, Any]:
    found = {}
    for setting in table.read_by("agent"):
        told, value = setting.as_in_toml, values[setting.name]
        # What nginx has as nothing, such as a socket, is left out where that is no value.
        nothing = value == "" and any(told.kind.problems("", "", as_text=False))
        if told.name not in (*without, "php") and value not in (None, told.default) and not nothing:
            found[told.name] = value
    return found


def _plain(table: Table, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `given` sets of `table`, of the right types, with lists as Ansible has them."""
    values: dict[str, Any] = _as_lists(table.read(given))
    return values


def _as_lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _as_lists(each) for name, each in value.items()}
    return [_as_lists(each) for each in value] if isinstance(value, list | tuple) else value
