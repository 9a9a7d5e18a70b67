"""`php` of memfis_sites: complete, the same wherever it is written, or refused with reasons."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, StrictUndefined

from memfis import __version__
from memfis.settings.load import settings_from
from memfis.settings.play import complete_sites, for_agent, site_problems, store_url
from memfis.settings.play import problems as role_problems
from memfis.settings.visitors import APPLICATIONS, HARMLESS_COOKIES

ROOT = Path(__file__).parents[2]
HOST_MAKES: dict[str, Any] = {
    **{"listen": ["80"], "tls_listen": ["443"], "max_page": 131072},
    **{"header": "X-Memfis", "proxies": [], "store_address": "unix:/run/m.sock", "types": ""},
    "from_memory": "memcached_pass",
    "http2_directive": False,
    "php": {
        "backends": ["unix:/run/memfis-php/php.sock"],
        "hints": "/run/memfis-agent/hints.sock",
        "purge": "/run/memfis-agent/purge.sock",
        "microcache": "/run/memfis-microcache",
    },
}
EMBEDDED = {
    "memfis_store_embedded": True,
    "memfis_store_address": "unix:/run/memfis-store/memcached.sock",
}
"""What Ansible makes of their defaults."""

SITE: dict[str, Any] = {"server_names": ["a.example"], "root": "/srv/a"}


def complete(**site: Any) -> dict[str, Any]:
    """Return a site with PHP as the role makes it."""
    [found] = complete_sites([{**SITE, "php": {}, **site}], HOST_MAKES)
    return found


def test_a_site_without_php_has_none() -> None:
    [site] = complete_sites([SITE], HOST_MAKES)
    assert site["php"] is None
    assert (site["index"], site["charset"]) == (["index.html"], None)


def test_what_is_usual_for_php() -> None:
    assert complete()["index"] == ["index.php", "index.html"]
    assert complete()["charset"] == "utf-8"
    assert complete(index=["doku.php"], charset="latin1")["index"] == ["doku.php"]
    assert complete()["php"]["microcache"] == "/run/memfis-microcache/a.example"


@pytest.mark.parametrize(
    ("site", "canonical"),
    [
        ({}, "http://a.example"),
        ({"listen": ["8080"]}, "http://a.example:8080"),
        ({"listen": ["[::]:8080 ipv6only=on"]}, "http://a.example:8080"),
        ({"listen": ["unix:/run/a.sock"]}, "http://a.example"),
        ({"tls": {"certificate": "/c"}}, "https://a.example"),
        ({"tls": {"certificate": "/c", "listen": ["8443"]}}, "https://a.example:8443"),
        ({"php": {"canonical": "https://b.example"}}, "https://b.example"),
    ],
)
def test_canonical(site: dict[str, Any], canonical: str) -> None:
    assert complete(**site)["php"]["canonical"] == canonical


PEERS = ["10.0.0.2", "2001:db8::2"]


@pytest.mark.parametrize(
    ("site", "peers"),
    [
        ({}, ["http://10.0.0.2", "http://[2001:db8::2]"]),
        (
            {"listen": ["[::]:8080 ipv6only=on"]},
            ["http://10.0.0.2:8080", "http://[2001:db8::2]:8080"],
        ),
        ({"listen": ["unix:/run/a.sock"]}, []),
        ({"listen": ["unix:/run/a.sock", "127.0.0.1:81"]}, ["http://10.0.0.2:81"]),
        ({"tls": {"certificate": "/c"}}, ["https://10.0.0.2", "https://[2001:db8::2]"]),
        ({"tls": {"certificate": "/c", "listen": ["8443"]}}, ["https://10.0.0.2:8443"]),
        ({"php": {"peers": ["https://b.example"]}}, ["https://b.example"]),
    ],
)
def test_peers_are_told_and_may_tell(site: dict[str, Any], peers: list[str]) -> None:
    [found] = complete_sites([{**SITE, "php": {}, **site}], {**HOST_MAKES, "peers": PEERS})
    assert found["php"]["peers"][: len(peers)] == peers
    assert bool(found["php"]["peers"]) == bool(peers)
    assert found["php"]["purge_from"] == ["127.0.0.1", "::1", *PEERS]
    assert site_problems([{**SITE, "php": {"peers": found["php"]["peers"]}}], own_pool=True) == []
    assert complete(**site)["php"]["purge_from"] == ["127.0.0.1", "::1"]


def test_the_agent_reads_what_the_role_writes() -> None:
    site = complete(
        default_type="text/html",
        php={"render": ["/ü"], "sitemaps": ["/sitemap.xml"], "hints": "", "timeout": "10"},
    )
    environment = Environment(undefined=StrictUndefined, trim_blocks=True)
    environment.filters["memfis.memfis.store_url"] = store_url
    environment.filters["memfis.memfis.for_agent"] = for_agent
    environment.filters["to_json"] = json.dumps
    text = environment.from_string((ROOT / "templates/etc/memfis.toml.j2").read_text()).render(
        **{"ansible_managed": "", "memfis_store_address": "unix:/run/m.sock"},
        **{"__memfis_version": __version__},
        **{"__memfis_nginx_user": "www-data", "__memfis_run_directory": "/run/memfis"},
        **{"memfis_metrics": "", "memfis_max_delete": "50%", "__memfis_couchbase": False},
        __memfis_lua=False,
        __memfis_fleet=[],
        __memfis_gated=False,
        __memfis_sites=[site],
    )
    [found] = settings_from(tomllib.loads(text), "memfis.toml").sites
    assert (found.default_type, found.charset) == ("text/html", "utf-8")
    assert found.php is not None
    assert found.php.canonical == "http://a.example"
    assert (found.php.render, found.php.sitemaps) == (("/ü",), ("/sitemap.xml",))
    assert (found.php.hints, found.php.timeout) == (None, 10)
    assert found.php.purge == "/run/memfis-agent/purge.sock"


def problems(php: dict[str, Any], own_pool: bool = True, **site: Any) -> list[str]:
    """Return what the role's preflight would say."""
    return site_problems([{**SITE, **site, "php": php}], own_pool=own_pool)


def test_good_settings_have_no_problems() -> None:
    assert problems({}) == []
    good = complete()["php"]
    assert problems(good) == []
    assert (
        problems(
            {
                **{"backends": ["unix:/run/php/x.sock", "10.0.0.1:9000", "[::1]:9000"]},
                **{"front_controller": "", "purge_from": ["10.0.0.0/8", "fd00::/8"]},
                **{"canonical": "https://[::1]:8443", "cookies": ["a.*", r"b\d(?:c|d)"]},
                **{"hints": "", "purge": "", "microcache": "", "access_log": ""},
            },
            own_pool=False,
        )
        == []
    )
    assert problems({"front_controller": "/doku.php?id="}) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("backends", ["/run/php.sock"]),
        ("backends", ["unix:/run/p;hp.sock"]),
        ("backends", ["host"]),
        ("front_controller", "index.php"),
        ("front_controller", "/index.html"),
        ("front_controller", "/index.php?q"),
        ("uploads", ["/"]),
        ("uploads", ["uploads/"]),
        ("uploads", ["/up loads/"]),
        ("uploads", ["/a(b"]),
        ("cookies", ["a("]),
        ("cookies", ["(a)"]),
        ("cookies", ["a b"]),
        ("cookies", [""]),
        ("ignored_arguments", ["*"]),
        ("ignored_arguments", ["a*b"]),
        ("canonical", "www.example.org"),
        ("canonical", "https://www.example.org/blog"),
        ("lifetime", 0),
        ("lifetime", "long"),
        ("stale_if_error", -1),
        ("stale_while_revalidate", -1),
        ("concurrency", 0),
        ("timeout", 0),
        ("max_pages", 0),
        ("render", ["about"]),
        ("sitemaps", ["https://a.example/sitemap.xml"]),
        ("purge_from", ["localhost"]),
        ("purge_from", ["10.0.0.0/33"]),
        ("hints", "run/hints.sock"),
        ("purge", "/run/a:b.sock"),
        ("microcache", "/run/$x"),
    ],
)
def test_what_cannot_be_is_refused(key: str, value: object) -> None:
    [found] = problems({key: value})
    assert re.match(rf"memfis_sites\[0\]\.php\.{key}(\[0\])?: ", found)


def test_what_is_missing_is_told() -> None:
    [found] = problems({}, own_pool=False)
    assert "memfis_php: true" in found
    [found] = problems({}, server_names=["*.example.org"], name="x")
    assert "canonical: 'http://*.example.org'" in found
    lines = problems({}, source="store")
    assert [line for line in lines if line.startswith("memfis_sites[0].php: ")]


@pytest.mark.parametrize("user", ["root", "www-data", "a b", "", "-x"])
def test_users_that_php_may_not_be(user: str) -> None:
    def said(name: str) -> list[str]:
        host = {
            "users": ["root", "www-data"],
            "publishes": True,
            "connection": "",
            "web": [],
            "playbook": "/",
        }
        variables = {"memfis_php": True, "memfis_php_user": name, **EMBEDDED}
        return role_problems(variables, list(variables), host)

    assert said("memfis-php") == []
    [line] = said(user)
    assert line.startswith("memfis_php_user: ")


def test_a_plain_site_cannot_use_the_pool_that_goes() -> None:
    host = {"users": [], "publishes": True, "connection": "", "web": [], "playbook": "/"}
    variables = {"memfis_php": True, "memfis_state": "absent", "memfis_sites": [SITE | {"php": {}}]}
    variables |= EMBEDDED
    assert role_problems(variables, list(variables), host) == []
    variables["memfis_absent_sites"] = "plain"
    [line] = role_problems(variables, list(variables), host)
    assert line.startswith("memfis_sites[0].php.backends: is missing: memfis' own pool")


@pytest.mark.parametrize(
    ("cookie", "harmless"),
    [
        ("_ga", True),
        ("_ga_ABC123", True),
        ("_fbp", True),
        ("_pk_id.1.2f3e", True),
        ("OptanonConsent", True),
        ("__cf_bm", True),
        ("PHPSESSID", False),
        ("mybbuser", False),
        ("xf_user", False),
        ("pll_language", False),
        ("x_ga", False),
        ("_gax;", False),
    ],
)
def test_harmless_cookies(cookie: str, harmless: bool) -> None:
    assert any(re.fullmatch(each, cookie) for each in HARMLESS_COOKIES) is harmless


def test_what_an_application_says_and_what_is_said_besides() -> None:
    found = complete(php={"application": "wordpress"})["php"]
    assert found["cookies"] == list(APPLICATIONS["wordpress"].cookies)
    assert found["page_end"] == "</html>"
    both = complete(php={"application": "wordpress", "cookies": ["shop"], "page_end": ""})["php"]
    assert both["cookies"] == [*APPLICATIONS["wordpress"].cookies, "shop"]
    assert both["page_end"] == ""
    assert complete()["php"]["cookies"] is None
    [line] = problems({"application": "wordpres"})
    assert "'wordpress' or 'dokuwiki' or 'mediawiki'" in line


def test_behind_proxies_the_scheme_is_theirs() -> None:
    behind = complete(proxies=["10.0.0.0/8"], listen=["8080"])
    assert behind["php"]["canonical"] == "https://a.example"
    own = complete(proxies=["10.0.0.0/8"], tls={"certificate": "/c", "listen": ["8443"]})
    assert own["php"]["canonical"] == "https://a.example:8443"
    assert complete(proxies=[])["php"]["canonical"] == "http://a.example"
