"""The settings of a site have the same names and defaults wherever they are written."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from jinja2 import Environment, StrictUndefined

from memfis import __version__
from memfis.errors import ConfigurationError
from memfis.layout.compression import Compression
from memfis.nginx.site import site_variables
from memfis.settings.agent import AGENT, MAX_DELETE, SITE_IN_TOML
from memfis.settings.fleet import FLEET
from memfis.settings.gateway import GATEWAY
from memfis.settings.load import settings_from
from memfis.settings.php import PHP
from memfis.settings.play import complete_sites, for_agent, site_problems, store_url
from memfis.settings.play import mount_problems as role_mount_problems
from memfis.settings.site import MAX_PAGE, SITE
from memfis.settings.sites import defaults_twice, server_names_twice
from memfis.settings.values import FleetSettings, GatewaySettings, PhpSettings, Settings, Site

ROOT = Path(__file__).parents[2]
HOST_MAKES: dict[str, Any] = {
    "listen": ["80"],
    "tls_listen": ["443"],
    "max_page": MAX_PAGE,
    "header": "X-Memfis",
    "from_memory": "memcached_pass",
    "proxies": [],
    "store_address": "unix:/run/m.sock",
    "types": "",
    "http2_directive": False,
    "php": {"backends": [], "hints": "", "purge": "", "microcache": "/run/memfis-microcache"},
}


def of_the_role(**site: Any) -> dict[str, Any]:
    """Return the variable `site` as the role makes it."""
    [complete] = complete_sites([site], HOST_MAKES)
    return complete


def of_serve() -> dict[str, Any]:
    """Return the variable `site` as `memfis serve` makes it."""
    site = Site(name="a.example", root="/srv/a", store="memcached:///run/m.sock", origin="/run/o")
    return site_variables(site, ["80"], ["a.example"], "")


def test_the_role_and_serve_make_the_same_variable() -> None:
    role = of_the_role(server_names=["a.example"], root="/srv/a", origin_socket="/run/o")
    serve = of_serve()
    assert set(serve) == {setting.name for setting in SITE.read_by("nginx")}
    assert {key: role[key] for key in serve} == serve


def test_the_agents_fields_are_those_that_are_declared() -> None:
    for struct, table in (
        (Site, SITE_IN_TOML),
        (Settings, AGENT),
        (PhpSettings, PHP.in_toml()),
        (GatewaySettings, GATEWAY),
        (FleetSettings, FLEET),
    ):
        fields = {field.name: field for field in msgspec.structs.fields(struct)}
        # `installation` is made of where the file lies, `has_none` of whether there are sites
        tables = {"sites", "gateway", "fleet", "installation", "has_none"}
        assert set(fields) - (tables if struct is Settings else set()) == set(table.names)
        for setting in table.settings:
            field = fields[setting.name]
            if setting.is_required:
                assert field.default is msgspec.NODEFAULT
            elif setting.default is not None:
                assert field.default == setting.kind.read(setting.default)
            else:
                assert field.default in (None, "")


def toml_of_the_role(
    metrics: str = "",
    max_delete: str | int = "50%",
    couchbase: bool = False,
    fleet: Sequence[str] = (),
    takeover: str | bool = False,
    gated: bool = False,
    **site: Any,
) -> Settings:
    """Return what the agent reads from the role's memfis.toml."""
    place = {} if site.get("source") == "store" else {"root": "/srv/a"}
    complete = of_the_role(server_names=["a.example"], **place, **site)
    environment = Environment(undefined=StrictUndefined, trim_blocks=True)
    environment.filters["memfis.memfis.store_url"] = store_url
    environment.filters["memfis.memfis.for_agent"] = for_agent
    environment.filters["to_json"] = json.dumps
    environment.filters["bool"] = bool
    text = environment.from_string((ROOT / "templates/etc/memfis.toml.j2").read_text()).render(
        ansible_managed="",
        __memfis_version=__version__,
        memfis_store_address="unix:/run/m.sock",
        __memfis_lua=complete["from_memory"] == "lua",
        __memfis_first_level_socket="/run/memfis-origin/.first-level.sock",
        __memfis_nginx_user="www-data",
        __memfis_run_directory="/run/memfis",
        memfis_metrics=metrics,
        memfis_max_delete=max_delete,
        __memfis_couchbase=couchbase,
        __memfis_gated=gated,
        __memfis_gates="/run/memfis-gates",
        __memfis_lease=yaml.safe_load((ROOT / "roles/memfis/vars/main.yml").read_text())[
            "__memfis_lease"
        ],
        __memfis_sites=[complete],
        __memfis_fleet=list(fleet),
        inventory_hostname="web2",
        memfis_publisher="web1",
        memfis_takeover=takeover,
    )
    return settings_from(tomllib.loads(text), "memfis.toml")


def test_the_agent_reads_how_to_compress_from_the_role() -> None:
    assert toml_of_the_role().sites[0].compression == Compression()
    [site] = toml_of_the_role(
        compress_level=0,
        compress_types=["HTML", ""],
        compress_min_size="0",
        compress_min_saving=25,
    ).sites
    assert site.compression == Compression(0, frozenset(["html", ""]), 0, 25)
    assert toml_of_the_role(compress_types=[]).sites[0].compression.types == frozenset()


def test_the_agent_reads_who_shares_the_store_from_the_role() -> None:
    assert toml_of_the_role().fleet is None
    hosts = ("web1", "web2")
    fleet = FleetSettings(host="web2", hosts=hosts, publisher="web1", takeover=False)
    assert toml_of_the_role(fleet=hosts).fleet == fleet
    assert fleet.others == ("web1",)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"host": "c"}, "fleet.host: 'c' is not one of 'hosts'"),
        ({"publisher": "c"}, "fleet.publisher: 'c' is not one of 'hosts'"),
        ({"hosts": ["a", "b", "a"]}, "fleet.hosts: 'a' is there twice"),
        ({"hosts": []}, "fleet.hosts: []: expected a list of names of hosts, at least 1"),
        ({"host": "a b"}, "fleet.host: 'a b': expected a host's name"),
        ({"hots": "a"}, "fleet.hots: no such setting"),
    ],
)
def test_a_fleet_that_cannot_be_is_refused(changes: dict[str, Any], line: str) -> None:
    table = {"host": "a", "hosts": ["a", "b"], "publisher": "b", **changes}
    with pytest.raises(ConfigurationError) as caught:
        settings_from({"sites": [], "fleet": table}, "memfis.toml")
    assert [line in problem for problem in caught.value.problems] == [True]


def test_the_agent_reads_where_to_answer_and_what_to_delete_from_the_role() -> None:
    defaults = yaml.safe_load((ROOT / "roles/memfis/defaults/main.yml").read_text())
    found = toml_of_the_role(defaults["memfis_metrics"], defaults["memfis_max_delete"])
    assert found.metrics == "unix:/run/memfis/metrics.sock"
    assert found.sites[0].max_delete == MAX_DELETE
    found = toml_of_the_role(max_delete=1000)
    assert (found.metrics, found.sites[0].max_delete) == (None, "1000")


def test_the_agent_reads_from_the_role_that_the_store_is_the_source() -> None:
    [site] = toml_of_the_role(source="store", exclude=["*.iso"]).sites
    assert site.first_level is not None, "also where memcached_pass reads it"
    assert toml_of_the_role().sites[0].first_level is None
    assert (site.source, site.root, site.origin) == ("store", "", None)
    assert site.exclude == ("*.iso",)


def test_the_agent_reads_from_the_role_where_nginx_finds_the_store() -> None:
    assert toml_of_the_role(gated=True).sites[0].gates == "/run/memfis-gates"
    assert toml_of_the_role().sites[0].gates is None


def test_the_agent_reads_from_the_role_that_memory_is_off() -> None:
    found = toml_of_the_role(from_memory="off")
    assert (len(found.kept), [site.in_memory for site in found.switched_off]) == (0, [False])


def test_pages_in_couchbase_are_renewed_seldom() -> None:
    assert toml_of_the_role().sites[0].lease is None  # by the kind of store
    assert toml_of_the_role(couchbase=True).sites[0].lease == 7 * 24 * 3600


GOOD: dict[str, Any] = {
    "server_names": ["a.example", "*.b.example", "_"],
    "root": '/srv/www/a b$c"d',
    "listen": ["80", "[::]:80 ipv6only=on", "unix:/run/a.sock", "127.0.0.1:8080 backlog=512"],
    "tls": {"listen": ["443"], "certificate": "/etc/a.pem", "certificate_key": "/etc/a.key"},
    "index": ["index.html", "index.php"],
    "default_type": "text/plain",
    "charset": "utf-8",
    "headers": {"Strict-Transport-Security": 'max-age=1; x="y"'},
    "expires": [{"type": "image/", "expires": "30d"}, {"type": "text/css", "expires": "1h30m"}],
    "error_pages": [{"codes": [404, 500], "uri": "/errors/not found.html"}],
    "store_address": "unix:/run/m.sock",
    "compress_level": 12,
    "compress_types": ["html", ""],
    "compress_min_size": 0,
    "compress_min_saving": "100",
    "script_extensions": ["PHP", "c++", "7z"],
    "types": {"mjs": "text/javascript", "7z": "application/x-7z-compressed"},
}


def test_good_settings_have_no_problems() -> None:
    assert site_problems([GOOD]) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("server_names", []),
        ("server_names", ["a b"]),
        ("server_names", ["a;}"]),
        ("name", "A_b"),
        ("name", ".a"),
        ("name", "a" * 90),
        ("root", None),
        ("root", "relative"),
        ("root", "/"),
        ("root", "/srv/../etc"),
        ("listen", ["80 ssl"]),
        ("listen", ["80;"]),
        ("index", ["a/b.html"]),
        ("index", [".hidden.html"]),
        ("index", ["$x"]),
        ("default_type", "text"),
        ("charset", "utf 8"),
        ("header", "X Memfis"),
        ("headers", {"Bad Name": "x"}),
        ("headers", {"Vary": "x"}),
        ("headers", {"X-Memfis": "HIT"}),
        ("headers", {"X-A": "x\r\nSet-Cookie: y"}),
        ("expires", [{"type": "image/", "expires": "soon"}]),
        ("expires", [{"type": "image/", "expires": "modified +1d"}]),
        ("expires", [{"type": "image /", "expires": "1d"}]),
        ("error_pages", [{"codes": [418], "uri": "/x.html"}]),
        ("error_pages", [{"codes": [200], "uri": "/x.html"}]),
        ("error_pages", [{"codes": [404], "uri": "x.html"}]),
        ("error_pages", [{"codes": [404], "uri": "/errors/"}]),
        ("error_pages", [{"codes": [404], "uri": "/x.html?y"}]),
        ("tls", {"certificate": "a.pem", "certificate_key": "/etc/$x"}),
        ("store_address", "/run/m.sock"),
        ("origin_socket", "/" + "x" * 108),
        ("max_page", 0),
        ("compress_level", 13),
        ("compress_level", -1),
        ("compress_level", True),
        ("compress_types", [".html"]),
        ("compress_types", [True]),
        ("compress_min_size", "much"),
        ("compress_min_saving", 101),
        ("autoindex", "false"),
        ("script_extensions", [".php"]),
        ("script_extensions", "php"),
        ("script_extensions", ["php|x"]),
        ("runs_scripts", "no"),
        ("types", ["mjs"]),
        ("types", {".mjs": "text/javascript"}),
        ("types", {"tar.gz": "application/gzip"}),
        ("types", {"m;js": "text/javascript"}),
        ("types", {"": "text/javascript"}),
        ("types", {"mjs": "javascript"}),
        ("types", {"mjs": "txt/javascript"}),
        ("types", {"mjs": "text/javascript; charset=utf-8"}),
        ("types", {"mjs": "text/javascript; x"}),
        ("types", {"mjs": None}),
        ("types", {"MJS": "text/javascript", "mjs": "text/javascript"}),
    ],
)
def test_what_nginx_would_misread_is_refused(key: str, value: object) -> None:
    [*found] = site_problems([GOOD | {"name": "a.example", key: value}])
    assert found
    assert all(line.startswith(f"memfis_sites[0].{key}") for line in found)


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"php": {}, "runs_scripts": False}, "runs_scripts: False: a site with 'php' does"),
        ({"extra": "types { a/b c; }"}, "types: 'extra' has types for the whole site; write"),
        ({"extra": "include /etc/nginx/mime.types;"}, "types: 'extra' has types for the whole"),
    ],
)
def test_what_does_not_go_together_is_refused(more: dict[str, Any], line: str) -> None:
    [found] = site_problems([GOOD | {"name": "a.example"} | more])
    assert found.startswith(f"memfis_sites[0].{line}")


@pytest.mark.parametrize(
    ("extra", "strict"),
    [
        ("", False),
        ("# proxy_pass http://x;\nadd_header X 'proxy_pass x;'; deny all;", False),
        ("location /bypass_pass { alias /srv/x/; }", False),
        ("location /a { proxy_pass http://x; }", True),
        ("location ~ [.]php$ {\n\tinclude\tsnippets/fastcgi-php.conf;\n}", True),
        ("location /a { grpc_pass x; }", True),
        ("location /a { uwsgi_pass x; }", True),
        ("location /a { content_by_lua_block { ngx.say(1) } }", True),
    ],
)
def test_a_site_runs_scripts_where_something_else_may_answer(extra: str, strict: bool) -> None:
    site = {"server_names": ["a.example"], "root": "/srv/a", "extra": extra}
    assert of_the_role(**site)["runs_scripts"] is strict
    assert of_the_role(**site, runs_scripts=not strict)["runs_scripts"] is not strict
    assert toml_of_the_role(extra=extra).sites[0].runs_scripts is strict
    assert of_the_role(**site | {"extra": ""}, php={})["runs_scripts"] is True


def test_types_of_a_site_are_told_to_the_agent_where_it_renders() -> None:
    types = {"MD": "text/plain", "7z": "application/x-7z-compressed"}
    assert toml_of_the_role(types=types).sites[0].types is None
    [site] = toml_of_the_role(types=types, php={"canonical": "https://a.example"}).sites
    assert site.types == of_the_role(server_names=["a"], root="/a", types=types)["types"]
    assert site.types
    assert (site.types["md"], site.types["mjs"]) == ("text/plain", "text/javascript")


def test_types_of_lines_of_the_sites_own_are_left_alone() -> None:
    def types(extra: str) -> Any:
        return of_the_role(server_names=["a"], root="/a", extra=extra)["types"]

    assert types("include mime.types; types { text/javascript mjs; }") == {}
    assert types("types { }") == {}
    assert types("location /x/ { types { } default_type text/plain; }")["css"] == "text/css"
    assert types("# types {\n")["css"] == "text/css"


STORED: dict[str, Any] = {"server_names": ["files.example"], "source": "store"}


@pytest.mark.parametrize("reader", ["lua", "memcached_pass"])
def test_a_site_without_a_disk_needs_no_more(reader: str) -> None:
    assert site_problems([STORED | {"from_memory": reader}]) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("root", "/srv/a"),
        ("src", "public"),
        ("autoindex", True),
        ("origin_socket", "/run/o.sock"),
        ("source", "disk"),
        ("from_memory", "off"),
        ("from_memory", False),
    ],
)
def test_what_needs_a_disk_is_refused_without_one(key: str, value: object) -> None:
    found = site_problems([STORED | {key: value}])
    assert [line for line in found if line.startswith(f"memfis_sites[0].{key}: ")]


MOUNTS: list[dict[str, Any]] = [
    {"site": "files.example", "path": "/srv/files", "owner": "deploy", "options": ["noexec"]},
    {"site": "a.example", "path": "/mnt/a", "read_only": True},
]


def test_a_mount_of_what_is_not_in_memory_is_refused() -> None:
    found = role_mount_problems([MOUNTS[1]], [GOOD | {"from_memory": False}])
    assert found == [
        "memfis_mounts[0].site: 'a.example': has 'from_memory: off', so nothing would be in it"
    ]


def mount_problems(*mounts: dict[str, Any]) -> list[str]:
    return role_mount_problems(list(mounts), [STORED, GOOD])


def test_good_mounts_have_no_problems() -> None:
    assert mount_problems(*MOUNTS) == []


@pytest.mark.parametrize(
    ("mount", "problem"),
    [
        ({"site": "other.example"}, "site: 'other.example': is not the name of one of"),
        ({"site": "a.example"}, "read_only: the agent keeps a.example equal to its web root"),
        ({"path": "srv/files"}, "path: 'srv/files': expected an absolute path"),
        ({"path": "/"}, "path: '/': expected an absolute path"),
        ({"path": "/srv/../etc"}, "path: '/srv/../etc': expected an absolute path"),
        ({"path": "/srv/a b"}, "path: '/srv/a b': expected an absolute path"),
        ({"path": "/srv/%h"}, "path: '/srv/%h': expected an absolute path"),
        ({"path": GOOD["root"]}, "expected an absolute path"),
        ({"owner": "a b"}, "owner: 'a b'"),
        ({"mode": "493"}, "mode: '493'"),
        ({"mode": "u+x"}, "mode: 'u+x'"),
        ({"options": ["a,b"]}, "options[0]: 'a,b'"),
    ],
)
def test_mounts_that_cannot_be_are_refused(mount: dict[str, Any], problem: str) -> None:
    [found] = mount_problems(MOUNTS[0] | mount)
    assert found.startswith("memfis_mounts[0].")
    assert problem in found


def test_mounts_do_not_share() -> None:
    assert mount_problems(MOUNTS[0], {**MOUNTS[0], "path": "/srv/files/"}) == [
        "memfis_mounts[1].site: 'files.example': is also that of memfis_mounts[0]",
        "memfis_mounts[1].path: '/srv/files': is also that of memfis_mounts[0]",
    ]
    rooted = GOOD | {"root": "/srv/www"}
    [found] = role_mount_problems([MOUNTS[0] | {"path": "/srv/www/x"}], [STORED, rooted])
    assert "is in a web root" in found


def test_two_sites_of_one_name_are_refused() -> None:
    [problem] = site_problems([GOOD, GOOD])
    assert "also the name of memfis_sites[0]" in problem


def test_one_site_is_the_default_at_a_listener() -> None:
    def said(*sites: dict[str, Any]) -> list[str]:
        return list(defaults_twice(sites, ["80"], ["443"], "memfis_sites"))

    first = {"default_server": True}
    assert said(first, {}, {**first, "listen": ["8080"]}) == []
    assert said({}, first, {**first, "listen": [80]}) == [
        "memfis_sites[2].default_server: memfis_sites[1] is the default at 80 already"
    ]
    secure = {**first, "listen": ["81"], "tls": {}}
    assert said(secure, {**first, "tls": {}}) == [
        "memfis_sites[1].default_server: memfis_sites[0] is the default at 443 already"
    ]


def test_server_names_that_two_sites_have() -> None:
    def said(*more: dict[str, Any]) -> list[str]:
        sites = [{"server_names": ("a", "B"), **each} for each in more]
        return list(server_names_twice(sites, ["80"], ["443"], "memfis_sites"))

    assert said({}, {"server_names": ("c",)}, {"listen": ("8080",)}) == []
    assert said({}, {"listen": ("127.0.0.1:80",)}, {"listen": (), "tls": {}}) == []
    assert said({}, {"server_names": ("c", "b"), "listen": ("*:80 reuseport", "81")}) == [
        "memfis_sites[1].server_names: 'b': is a name of memfis_sites[0] at 80, too; give it to one"
        " of them"
    ]
    both = {"server_names": ("a",), "tls": {}}
    assert said(both, {**both, "listen": ("81",)}) == [
        "memfis_sites[1].server_names: 'a': is a name of memfis_sites[0] at 443, too; give it to"
        " one of them"
    ]


@pytest.mark.parametrize(
    ("follow", "said"),
    [
        ("/srv/a", "follow[0]: '/srv/a': is the web root, /srv/a"),
        ("/srv//a/./", "follow[0]: '/srv//a/./': is the web root, /srv/a"),
        ("/srv", "follow[0]: '/srv': holds the web root, /srv/a"),
        ("/srv/a/shared", "follow[0]: '/srv/a/shared': is in the web root, /srv/a"),
        ("/var/b", "follow[0]: '/var/b': is the root of SITES[1], /var/b"),
        ("/var", "follow[0]: '/var': holds the root of SITES[1], /var/b"),
        ("/var/b/c", "follow[0]: '/var/b/c': is in the root of SITES[1], /var/b"),
        ("/", "follow[0]: '/': expected an absolute path below /"),
        ("//", "follow[0]: '//': expected an absolute path below /"),
        ("/./", "follow[0]: '/./': expected an absolute path below /"),
        ("/shared/..", "follow[0]: '/shared/..': expected an absolute path below /"),
        ("shared", "follow[0]: 'shared': expected an absolute path below /"),
        ("~/shared", "follow[0]: '~/shared': expected an absolute path below /"),
    ],
)
def test_what_links_may_not_lead_into(follow: str, said: str) -> None:
    first = {"root": "/srv/a", "follow": [follow]}
    second = {"root": "/var/b/"}
    role = site_problems(
        [first | {"server_names": ["a.example"]}, second | {"server_names": ["b.example"]}]
    )
    assert role == ["memfis_sites[0]." + said.replace("SITES", "memfis_sites")]
    toml = {"sites": [first | {"name": "a.example"}, second | {"name": "b.example"}]}
    with pytest.raises(ConfigurationError) as caught:
        settings_from(toml, "memfis.toml")
    assert caught.value.problems == ["sites[0]." + said.replace("SITES", "sites")]


@pytest.mark.parametrize("follow", ["/srv/a-shared", "/srv/shared", "/var/bb", "/var/b.d/c"])
def test_what_links_may_lead_into(follow: str) -> None:
    sites: list[dict[str, Any]] = [
        {"name": "a", "root": "/srv/a", "follow": [follow]},
        {"name": "b", "root": "/var/b"},
    ]
    assert settings_from({"sites": sites}, "memfis.toml").sites[0].follow == (follow,)
    role = [{**site, "server_names": [site["name"]]} for site in sites]
    assert site_problems(role) == []
    assert toml_of_the_role(follow=[follow]).sites[0].follow == (follow,)


def test_a_site_of_the_store_follows_nothing() -> None:
    site = {"name": "a", "source": "store", "follow": ["/srv/shared"]}
    said = "follow: a site whose source is the store has no disk behind it"
    with pytest.raises(ConfigurationError) as caught:
        settings_from({"sites": [site]}, "memfis.toml")
    assert caught.value.problems == [f"sites[0].{said}"]
