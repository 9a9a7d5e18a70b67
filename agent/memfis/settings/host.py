"""Settings of a host: the variables of the role memfis. A default may be Jinja."""

import ipaddress
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any

from memfis.errors import UsageError
from memfis.settings.addresses import ListenAddress
from memfis.settings.agent import LIMIT
from memfis.settings.declare import Table, variable
from memfis.settings.gateway import BUCKET, CONNECTION, GATEWAY
from memfis.settings.kinds import Choice, Flag, Integer, ListOf, Text
from memfis.settings.mount import MOUNT
from memfis.settings.site import FROM_MEMORY, MAX_PAGE, SITE
from memfis.settings.site_parts import PROXIES

RUN_DIRECTORY = "/run/memfis"
STORE_SOCKET = "/run/memfis-store/memcached.sock"

FIRST_LEVEL = 64
"""MiB in which nginx itself keeps pages."""

BY_THE_ROLE = ("connection", "bucket", "user", "password_file", "certificate", "listen")
"""Settings of the gateway that the role writes, from variables of their own."""


def _no_address(text: str) -> str | None:
    """Return why `text` is no IP address, None where it is one."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return "expected an IP address, without a port"
    return None


_FLAG = Flag(in_words=True)
_TEXT = Text("text")


def _no_metrics(text: str) -> str | None:
    expected = (
        f"expected unix:{RUN_DIRECTORY}/NAME, a port of a loopback address as 127.0.0.1:9180, or"
        " empty"
    )
    try:
        path = ListenAddress.parse(text).path if text else None
    except UsageError:
        return expected
    below = None if path is None else path.removeprefix(f"{RUN_DIRECTORY}/")
    return expected if below is not None and (below == path or "/" in below) else None


_play = partial(variable, "memfis_")

HOST = Table(
    "variables of the role",
    (
        _play("sites", ListOf(SITE, "a list of sites"), [], "the sites of the host, see below"),
        _play(
            "sites_remove",
            _FLAG,
            False,
            "let a play take away the last site of the host, or more than half of them, which"
            " otherwise it refuses",
        ),
        _play(
            "mounts",
            ListOf(MOUNT, "a list of mounts"),
            [],
            "sites that are mounted as a filesystem on the host, see below",
        ),
        _play(
            "header",
            Text("the name of a header, or empty", r"[A-Za-z0-9-]*"),
            "X-Memfis",
            "response header that says HIT or FALLBACK; empty: none",
            group="What nginx says, and what it takes from memory.",
        ),
        _play(
            "from_memory",
            Choice((*FROM_MEMORY.words, ""), FROM_MEMORY.false),
            "",
            "what takes pages from memory in nginx, see `from_memory` of a site; empty: `lua`, or"
            " `memcached_pass` where nginx has no Lua module and apt offers none",
        ),
        _play(
            "first_level",
            Integer("a number of MiB, 8 or more", 8, 2**20),
            FIRST_LEVEL,
            "MiB in which nginx itself keeps pages of sites with `from_memory: lua`; another size"
            " empties them. `memfis doctor` says how many hold every page",
        ),
        _play(
            "proxies",
            PROXIES,
            [],
            "addresses and networks of load balancers and proxies in front of all sites, see"
            " `proxies` of a site",
        ),
        _play(
            "peers",
            ListOf(Text("an IP address", also=_no_address), "a list of IP addresses"),
            [],
            "addresses of hosts that serve the same sites of PHP from stores of their own, this one"
            " may be among them: a purge at one is told to all others",
        ),
        _play(
            "max_page",
            Integer("a number of bytes, 1 or more", 1),
            MAX_PAGE,
            "bytes of the largest page in memory, as stored. Up to 128 KiB, nginx's buffer, a store"
            " that dies in the middle of an answer costs nothing",
        ),
        _play(
            "store",
            Choice(("memcached", "couchbase")),
            "memcached",
            "what keeps the pages: `memcached`, or `couchbase` behind a gateway on this host, see"
            " below",
            group="The store.",
        ),
        _play(
            "store_embedded",
            _FLAG,
            "{{ memfis_store == 'memcached' }}",
            "run memcached on this host as the store, behind a unix socket",
            usually="`true` with memcached",
        ),
        _play(
            "store_address",
            Text("unix:PATH or HOST:PORT", r"unix:/\S+|\S+:\d+"),
            "unix:{{ '/run/memfis-gateway/gateway.sock' if memfis_store == 'couchbase'\n"
            "else '/run/memfis-store/memcached.sock' }}",
            "where nginx and the agent find the store, `unix:PATH` or `HOST:PORT`; another needs"
            " `memfis_store_embedded: false`",
            usually=f"`unix:{STORE_SOCKET}`, or the gateway's socket",
        ),
        _play(
            "store_memory",
            Integer("a number of MiB, 1 or more", 1, 2**30),
            256,
            "MiB for pages of the embedded store",
        ),
        _play(
            "store_item_size",
            Text("a size as memcached's -I has it, as 20m", r"[1-9]\d{0,9}[kKmM]?", or_number=True),
            "20m",
            "largest item of the embedded store, as memcached's `-I` has it",
        ),
        _play(
            "store_keep",
            _FLAG,
            False,
            "keep what the embedded store has over a restart and a boot, in"
            " `/var/lib/memfis/kept`, which needs room for `memfis_store_memory`; see below",
        ),
        _play(
            "store_threads",
            Integer("a number of threads, or 0", 0, 256),
            0,
            "threads of the embedded store; 0: one for every two processors, four at most. nginx"
            " takes three times its processor time, and idle threads cost",
        ),
        _play(
            "store_connections",
            Integer("a number of connections, or 0", 0, 2**20),
            0,
            "connections that the embedded store takes; 0: all that nginx's workers may open, and"
            " 64",
        ),
        _play(
            "publisher",
            Text("the name of a host in the inventory", r"\S+"),
            "{{ groups['memfis_web'] | default([inventory_hostname], true) | first\n"
            "if memfis_store == 'couchbase' else inventory_hostname }}",
            "the host whose agent fills the store, by its name in the inventory; a Couchbase bucket"
            " is filled by one, and read by all",
            usually="this host; with Couchbase the first of `memfis_web`",
        ),
        _play(
            "takeover",
            _FLAG,
            False,
            "with Couchbase, whether another host of `memfis_web` fills the bucket when the"
            " publisher is gone for 15 seconds: for web roots that are equal",
        ),
        _play(
            "couchbase_connection",
            Text(
                f"{CONNECTION.expected}; by default it is made of the hosts of the group"
                " memfis_store",
                f"{CONNECTION.pattern}|",
            ),
            "",
            "how the gateway reaches Couchbase, as `couchbase://HOST,HOST`, or `couchbases://HOST`"
            " with TLS; empty: the hosts of `memfis_store`",
            group="With memfis_store: couchbase.",
        ),
        _play("couchbase_bucket", BUCKET, "memfis", "the bucket"),
        _play("couchbase_user", _TEXT, "memfis", "the user that the gateway logs in as"),
        _play("couchbase_password", _TEXT, "", "that user's password, from a vault", secret=True),
        _play(
            "couchbase_certificate",
            Text("a path"),
            "",
            "on the controller, the certificates (PEM) that the cluster's is verified with; empty:"
            " those that the SDK knows",
        ),
        _play(
            "gateway",
            Table(
                "a table of settings of [gateway]",
                tuple(each for each in GATEWAY.settings if each.name not in BY_THE_ROLE),
                dict.fromkeys(BY_THE_ROLE, "the variable of its own (roles/memfis/README.md)"),
            ),
            {},
            "other settings of the gateway, as the table `[gateway]` has them (docs/gateway.md)",
        ),
        _play(
            "agent_requirement",
            _TEXT,
            "",
            "what pip installs as the agent, such as `memfis==1.0`; empty: a wheel built from"
            " `memfis_agent_source`",
            group="The agent.",
        ),
        _play(
            "agent_source",
            Text("a path"),
            "{{ role_path }}/../..",
            "where the agent's sources are on the controller: a checkout",
            usually="the role's own collection",
        ),
        _play("pip_arguments", _TEXT, "", "more arguments for pip, such as an index of your own"),
        _play(
            "metrics",
            Text("where Prometheus may ask", also=_no_metrics),
            f"unix:{RUN_DIRECTORY}/metrics.sock",
            "where the agent answers Prometheus: `unix:PATH` in `/run/memfis`, for root and the"
            " group `memfis`, or `HOST:PORT` of a loopback address; empty: nowhere",
        ),
        _play(
            "max_delete",
            LIMIT,
            "50%",
            "pages that one `memfis sync` may remove: a number, or per cent of a site's",
        ),
        _play(
            "agent_wait",
            Integer("a number of seconds, 1 to a day", 1, 86400),
            300,
            "seconds that a play waits for the agent to have seen every site once; then both go on",
        ),
        _play(
            "apt_wait",
            Integer("a number of seconds, 0 to a day", 0, 86400),
            600,
            "seconds that a play waits for another program that has apt's lock, such as unattended"
            " upgrades",
        ),
        _play(
            "check",
            _FLAG,
            True,
            "at the end ask every site as its visitors do (`memfis check`), say what answers, and"
            " fail where that is not as it should be",
        ),
        _play(
            "php",
            _FLAG,
            False,
            "install php-fpm, in the distribution's version, with a pool of its own for sites with"
            " `php`; existing pools are left alone",
            group="PHP (docs/php.md).",
        ),
        _play(
            "php_user",
            Text("the name of a user", r"[a-z_][a-z0-9_-]{0,31}"),
            "memfis-php",
            "the user that it runs as, which must be able to read the web roots",
        ),
        _play(
            "php_children",
            Integer("a number of requests, 1 or more", 1, 100_000),
            10,
            "requests that PHP works on at a time",
        ),
        _play(
            "php_packages",
            ListOf(Text("the name of a package", r"[a-z0-9][a-z0-9+.:-]*"), "a list of packages"),
            [],
            "more packages to install with it, such as `php-mysql`",
        ),
        _play(
            "disable_default_site",
            _FLAG,
            True,
            "rename the distribution's unmodified default site to `default.dpkg-dist`, and disable"
            " it",
            group="The host.",
        ),
        _play(
            "doctor",
            _FLAG,
            True,
            "say what of the sites does not fit (`memfis doctor`), and raise the limits of inotify"
            " that are too low for them",
        ),
        _play(
            "state",
            Choice(("present", "absent")),
            "present",
            "`absent`: take memfis away from the host, see below",
            group="Removing.",
        ),
        _play(
            "absent_sites",
            Choice(("removed", "plain")),
            "removed",
            "with `memfis_state: absent`: what becomes of the sites in nginx; `plain`: each stays,"
            " as one without memory and with nothing of ours",
        ),
        _play(
            "absent_packages",
            _FLAG,
            False,
            "with it: remove the packages that the role has installed, too",
        ),
        _play(
            "absent_stored",
            _FLAG,
            False,
            "with it: throw away what sites with `source: store` hold, which is nowhere else",
        ),
    ),
)


def absent_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what cannot stay of `values`, the variables as programs get them, without memfis."""
    if values["memfis_state"] != "absent" or values["memfis_absent_sites"] != "plain":
        return
    for number, site in enumerate(values["memfis_sites"]):
        php = site.get("php")
        if isinstance(php, Mapping) and not php.get("backends"):
            yield (
                f"memfis_sites[{number}].php.backends: is missing: memfis' own pool of php-fpm goes"
                " with it; name the sockets of another, or write memfis_absent_sites: removed"
            )


def store_problems(values: Mapping[str, Any], *, publishes: bool) -> Iterator[str]:
    """Yield what does not go together in the settings of the store.

    `values` are the variables as programs get them; `publishes`: this host's agent fills the store.
    """
    embedded = values["memfis_store_embedded"]
    if values["memfis_takeover"] and values["memfis_store"] != "couchbase":
        yield "memfis_takeover: only hosts that share a bucket (memfis_store: couchbase) have it"
    address = values["memfis_store_address"]
    if embedded and address != f"unix:{STORE_SOCKET}":
        yield (
            f"memfis_store_address: {address!r}: is not the embedded store, unix:{STORE_SOCKET};"
            " another needs memfis_store_embedded: false"
        )
    if embedded and not publishes:
        yield (
            f"memfis_publisher: {values['memfis_publisher']!r}: cannot fill the store of another"
            " host, which is that host's alone (memfis_store_embedded)"
        )
    largest = _mib(values["memfis_store_item_size"])
    if embedded and largest * 2 > values["memfis_store_memory"]:
        yield (
            f"memfis_store_memory: {values['memfis_store_memory']}: expected at least twice"
            f" memfis_store_item_size ({values['memfis_store_item_size']}), or memcached does not"
            " start"
        )


def _mib(size: str) -> float:
    """Return a size as memcached's -I has it in MiB."""
    units = {"k": 1 / 1024, "m": 1.0}
    last = size[-1].lower()
    return float(size[:-1]) * units[last] if last in units else float(size) / 2**20


def couchbase_problems(
    values: Mapping[str, Any], connection: str, web: Collection[str]
) -> Iterator[str]:
    """Yield what does not go together where Couchbase is the store.

    `connection` is the string that the gateway will have, `web` the hosts of memfis_web.
    """
    if any(CONNECTION.problems(connection, "", as_text=True)):
        yield (
            f"memfis_couchbase_connection: {connection!r}: expected {CONNECTION.expected}; by"
            " default it is made of the hosts of the group memfis_store"
        )
    if not values["memfis_couchbase_password"]:
        yield "memfis_couchbase_password: a password is needed; keep it in a vault"
    if not values["memfis_couchbase_user"]:
        yield "memfis_couchbase_user: a user is needed"
    if values["memfis_couchbase_certificate"] and not connection.startswith("couchbases://"):
        yield "memfis_couchbase_certificate: only couchbases:// is TLS"
    if values["memfis_store_embedded"]:
        yield "memfis_store_embedded: must be false with memfis_store: couchbase"
    if values["memfis_publisher"] not in web:
        yield (
            f"memfis_publisher: {values['memfis_publisher']!r}: is not a host of memfis_web, so"
            " nobody would fill the bucket"
        )
