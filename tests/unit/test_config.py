import json
from pathlib import Path

import pytest

from memfis.errors import ConfigurationError, UsageError
from memfis.layout.compression import Compression
from memfis.settings.addresses import StoreAddress
from memfis.settings.load import configuration_path, load, settings_from


def problems_of(table: dict[str, object]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        settings_from(table, "memfis.toml")
    return caught.value.problems


def test_a_site_inherits_what_it_does_not_set() -> None:
    settings = settings_from(
        {
            "store": "memcached:///run/a.sock",
            "max_page": 1000,
            "sites": [
                {"name": "a.example", "root": "/srv/a"},
                {"name": "b.example", "root": "/srv/b", "max_page": 2000},
            ],
        },
        "memfis.toml",
    )
    first, second = settings.sites
    assert (first.store, first.max_page) == ("memcached:///run/a.sock", 1000)
    assert second.max_page == 2000


def test_a_site_inherits_how_to_compress() -> None:
    settings = settings_from(
        {
            "compress_level": 9,
            "compress_types": ["HTML", ""],
            "compress_min_size": 0,
            "sites": [
                {"name": "a.example", "root": "/srv/a"},
                {"name": "b.example", "root": "/srv/b", "compress_level": 0},
                {"name": "c.example", "root": "/srv/c", "compress_types": []},
                {"name": "d.example", "root": "/srv/d", "compress_min_saving": 25},
            ],
        },
        "memfis.toml",
    )
    both = frozenset(["html", ""])
    assert [site.compression for site in settings.sites] == [
        Compression(9, both, 0, 10),
        Compression(0, both, 0, 10),
        Compression(9, frozenset(), 0, 10),
        Compression(9, both, 0, 25),
    ]


def test_a_site_compresses_by_default() -> None:
    [site] = settings_from({"sites": [{"name": "a", "root": "/a"}]}, "x").sites
    assert site.compression == Compression()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("compress_level", 13, "0 (do not compress) to 12"),
        ("compress_level", -1, "0 (do not compress) to 12"),
        ("compress_level", True, "0 (do not compress) to 12"),
        ("compress_types", [".html"], "a file name extension, without the dot"),
        ("compress_types", ["tar.gz"], "a file name extension, without the dot"),
        ("compress_types", "html", "a list of file name extensions"),
        ("compress_min_size", -1, "a number of bytes"),
        ("compress_min_saving", 101, "a number of per cent, 0 to 100"),
        ("compress_min_saving", 0.1, "a number of per cent, 0 to 100"),
    ],
)
def test_how_to_compress_is_checked_for_all_sites_and_for_one(
    key: str, value: object, expected: str
) -> None:
    site = {"name": "a.example", "root": "/srv/a", key: value}
    first, second = problems_of({key: value, "sites": [site]})
    assert second == f"sites[0].{first}"
    at = "[0]" if isinstance(value, list) else ""
    wrong = value[0] if isinstance(value, list) else value
    shown = repr(wrong) if isinstance(wrong, str) else json.dumps(wrong)
    assert first.startswith(f"{key}{at}: {shown}: expected {expected}")


def test_every_problem_is_listed_by_its_key_path() -> None:
    found = problems_of(
        {
            "stor": "memcached://127.0.0.1:11211",
            "max_page": "much",
            "sites": [{"name": "a.example"}, {"name": "A_B", "root": "relative", "exlude": []}],
        }
    )
    assert [line.partition(":")[0] for line in found] == [
        "stor",
        "max_page",
        "sites[0].root",
        "sites[1].name",
        "sites[1].root",
        "sites[1].exlude",
    ]


def test_a_misspelt_setting_is_answered_with_the_right_one() -> None:
    assert problems_of({"runtime_directroy": "/run"}) == [
        "runtime_directroy: no such setting; did you mean 'runtime_directory'?"
    ]


def test_two_sites_of_one_name_are_refused() -> None:
    site = {"name": "a.example", "root": "/srv/a"}
    [found] = problems_of({"sites": [site, site]})
    assert found == "sites[1].name: 'a.example': is also the name of sites[0], another site"


def test_a_pattern_that_does_not_parse_is_named() -> None:
    [found] = problems_of({"sites": [{"name": "a", "root": "/a", "exclude": ["ok", "!"]}]})
    assert "sites[0].exclude" in found
    assert "'!'" in found


def test_a_file_that_is_not_toml_or_not_there(tmp_path: Path) -> None:
    broken = tmp_path / "memfis.toml"
    broken.write_text("store = \n")
    with pytest.raises(ConfigurationError, match="not TOML"):
        load(broken)
    with pytest.raises(ConfigurationError, match="No such file"):
        load(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("memcached://127.0.0.1:11212", StoreAddress(None, "127.0.0.1", 11212)),
        ("memcached://store.example", StoreAddress(None, "store.example", 11211)),
        ("memcached://[::1]:99", StoreAddress(None, "::1", 99)),
        ("memcached:///run/m.sock", StoreAddress("/run/m.sock")),
    ],
)
def test_store_urls(url: str, address: StoreAddress) -> None:
    assert StoreAddress.parse(url) == address
    assert StoreAddress.parse(str(address)) == address


@pytest.mark.parametrize("url", ["", "http://a:1", "memcached://", "memcached://a:0", "a:11211"])
def test_what_is_no_store_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="expected memcached://"):
        StoreAddress.parse(url)


def test_the_configuration_named_by_flag_goes_before_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MEMFIS_CONFIG", "/from/environment")
    assert configuration_path("/from/flag") == Path("/from/flag")
    assert configuration_path(None) == Path("/from/environment")


@pytest.mark.parametrize(
    ("index", "name"),
    [(["index.html"], b"index.html"), (["index.php", "index.html"], None), ([], None)],
)
def test_only_a_static_first_index_is_kept_under_its_directory(
    index: list[str], name: bytes | None
) -> None:
    table = {"sites": [{"name": "a", "root": "/a", "index": index}]}
    assert settings_from(table, "x").sites[0].index_name == name


GATEWAY = {"connection": "couchbase://a,b", "user": "memfis", "password_file": "/etc/password"}


def test_the_gateway_has_a_table_of_its_own() -> None:
    found = settings_from({"gateway": {**GATEWAY, "hot_ttl": 2, "listen": ["127.0.0.1:1"]}}, "x")
    assert found.gateway is not None
    assert (found.gateway.bucket, found.gateway.hot_ttl) == ("memfis", 2.0)
    assert settings_from({}, "x").gateway is None


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("connection", "http://a", "expected couchbase://HOST"),
        ("connection", "couchbase://user:secret@a", "expected couchbase://HOST"),
        ("password_file", "relative", "expected an absolute path"),
        ("listen", ["0.0.0.0:11211"], "a port of a loopback address"),
        ("listen", "unix:/a", "expected a list of unix:/path/to.sock"),
        ("metrics", "example.org:1", "a port of a loopback address"),
        ("hot_bytes", -1, "expected a number of bytes"),
        ("hot_ttl", 61, "expected a number of seconds, 0 to 60"),
        ("timeout", 0, "expected a number of seconds"),
        ("max_item", 1 << 30, "expected a number of bytes, 1024 to 20971520"),
        ("buffer_bytes", 1, "67108864"),
        ("password", "secret", "no such setting; did you mean 'password_file'?"),
    ],
)
def test_the_gateways_settings_are_checked(key: str, value: object, expected: str) -> None:
    [found] = problems_of({"gateway": {**GATEWAY, key: value}})
    assert found.startswith((f"gateway.{key}: ", f"gateway.{key}[0]: "))
    assert expected in found


def test_a_gateway_needs_a_cluster_a_user_and_a_password() -> None:
    found = problems_of({"gateway": {}})
    assert found == [
        f"gateway.{key}: is missing" for key in ("connection", "user", "password_file")
    ]
    assert problems_of({"gateway": []}) == ["gateway: []: expected a [gateway] table"]


PHP = {"canonical": "https://www.example.org"}


def site_with(php: object, **more: object) -> dict[str, object]:
    site = {"name": "a.example", "root": "/srv/a", "origin": "/run/a.sock", "php": php, **more}
    return {"sites": [site]}


def test_a_site_with_php_has_a_table_of_its_own() -> None:
    [site] = settings_from(site_with({**PHP, "render": ["/"], "lifetime": 60}), "x").sites
    assert site.php is not None
    assert (site.php.host, site.php.lifetime, site.php.render) == ("www.example.org", 60, ("/",))
    assert (site.php.stale_if_error, site.php.concurrency, site.php.max_pages) == (86400, 4, 100000)
    [other] = settings_from({"sites": [{"name": "a", "root": "/a"}]}, "x").sites
    assert other.php is None


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("canonical", "example.org", "expected https://HOST or http://HOST"),
        ("canonical", "https://a/b", "expected https://HOST or http://HOST"),
        ("canonical", "https://a\r\nX: y", "expected https://HOST or http://HOST"),
        ("lifetime", 0, "expected a number of seconds, 1 to a year"),
        ("stale_if_error", -1, "expected a number of seconds, 0 to a year"),
        ("stale_while_revalidate", -1, "expected a number of seconds, 0 to a year"),
        ("render", ["blog"], "expected the path of a URL"),
        ("render", ["/blog?page=2"], "expected the path of a URL"),
        ("sitemaps", "/sitemap.xml", "expected a list of URL paths"),
        ("concurrency", 0, "expected 1 to 256"),
        ("timeout", 0, "expected a number of seconds, up to an hour"),
        ("max_pages", 0, "expected a number of pages"),
        ("purge_on_change", ["!"], "does not parse"),
        ("hints", "hints.sock", "expected an absolute path"),
        ("purge", "", "expected an absolute path"),
        ("microcache", 1, "expected an absolute path"),
        ("concurency", 1, "no such setting; did you mean 'concurrency'?"),
    ],
)
def test_the_settings_of_php_are_checked(key: str, value: object, expected: str) -> None:
    [found] = problems_of(site_with({**PHP, key: value}))
    assert found.startswith((f"sites[0].php.{key}: ", f"sites[0].php.{key}[0]: "))
    assert expected in found


def test_what_php_needs_is_asked_for() -> None:
    assert problems_of(site_with({})) == ["sites[0].php.canonical: is missing"]
    assert problems_of(site_with([])) == [
        "sites[0].php: []: expected a table, as {} or [sites.php]"
    ]
    without_origin = {"name": "a", "root": "/a", "php": PHP}
    assert problems_of({"sites": [without_origin]}) == [
        "sites[0].php: without 'origin' there is nobody to ask for pages"
    ]
    stored = {"name": "a", "source": "store", "origin": "/o", "php": PHP}
    assert problems_of({"sites": [stored]}) == [
        "sites[0].php: a site whose source is the store runs no PHP"
    ]
