"""Which site answers for a host."""

import pytest

from memfis.errors import UsageError
from memfis.settings.server_names import fitness
from memfis.settings.values import Settings, Site

SITES = tuple(
    Site(name=name, server_names=names)
    for name, names in {
        "regex": (r"~^(?<user>\w+)\.example\.(org|net)$", "~(broken", r"~^(?<!x)never"),
        "trailing": ("www.example.*",),
        "leading": ("*.example.org",),
        "longer": ("*.deep.example.org", ".both.example"),
        "exact": ("Www.Example.org", "example.org"),
        "name.alone": (),
    }.items()
)


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("example.org", "exact"),
        ("WWW.example.org", "exact"),
        ("a.example.org", "leading"),
        ("a.b.example.org", "leading"),
        ("x.deep.example.org", "longer"),
        ("both.example", "longer"),
        ("a.both.example", "longer"),
        ("www.example.net", "trailing"),
        ("anna.example.net", "regex"),
        ("name.alone", "name.alone"),
    ],
)
def test_the_site_is_nginxs(host: str, site: str) -> None:
    assert Settings(sites=SITES).site_at(host).name == site
    assert Settings(sites=SITES[::-1]).site_at(host).name == site


@pytest.mark.parametrize("host", ["localhost", "org", "xexample.org", "exact", "www.example", ""])
def test_a_host_that_is_nobodys_is_asked_about(host: str) -> None:
    with pytest.raises(UsageError, match=r"which site is .*--site"):
        Settings(sites=SITES).site_at(host)
    assert Settings(sites=SITES[:1]).site_at(host) is SITES[0]


def test_names_without_a_fit() -> None:
    assert fitness((), "example.org") is None
