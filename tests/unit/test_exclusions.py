import pytest

from memfis.errors import UsageError
from memfis.webroot.exclusions import Exclusions, is_refused


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        (b"/", b".htaccess"),
        (b"/", b".git"),
        (b"/docs/", b".well-known"),
        (b"/.well-known/", b".hidden"),
        (b"/", b"index.php"),
        (b"/", b"INDEX.PHP"),
        (b"/", b"x.php7"),
        (b"/", b"x.php.bak"),
        (b"/", b"x.php~"),
        (b"/", b"config.inc"),
        (b"/", b"x.phtml"),
        (b"/", b"x.phar"),
        (b"/", b"a\nb.php"),
    ],
)
def test_what_nginx_refuses_is_never_stored(directory: bytes, name: bytes) -> None:
    assert is_refused(directory, name)


@pytest.mark.parametrize(
    ("directory", "name"),
    [(b"/", b".well-known"), (b"/", b"php"), (b"/", b"x.phpx"), (b"/", b"include.html")],
)
def test_what_only_looks_alike_is_not_refused(directory: bytes, name: bytes) -> None:
    assert not is_refused(directory, name)


@pytest.mark.parametrize(
    "name",
    [b"a.html~", b"dump.sql", b"dump.sql.gz", b"server.key", b"cert.PEM", b"id_rsa", b"x.swp"],
)
def test_leftovers_dumps_and_keys_are_excluded_by_default(name: bytes) -> None:
    assert Exclusions().excludes(b"/", name, False)


@pytest.mark.parametrize("name", [b"index.html", b"key.html", b"sql.html", b"caf\xe9.html"])
def test_pages_are_not(name: bytes) -> None:
    assert not Exclusions().excludes(b"/", name, False)


def test_patterns_are_those_of_gitignore() -> None:
    exclusions = Exclusions(["/drafts/", "*.iso", "!keep.iso"])
    assert exclusions.excludes(b"/", b"drafts", True)
    assert not exclusions.excludes(b"/docs/", b"drafts", True)
    assert exclusions.excludes(b"/docs/", b"disk.iso", False)
    assert not exclusions.excludes(b"/docs/", b"keep.iso", False)


@pytest.mark.parametrize("directory", [b"/", b"/a\nb/", b"/a\nb/c/"])
@pytest.mark.parametrize("name", [b"disk.iso", b"disk\n2.iso", b"drafts"])
def test_a_newline_brings_nothing_past_a_pattern(directory: bytes, name: bytes) -> None:
    assert Exclusions(["*.iso", "drafts/"]).excludes(directory, name, name == b"drafts")


def test_a_pattern_ends_where_the_name_does() -> None:
    assert not Exclusions(["*.iso"]).excludes(b"/", b"disk.iso\n", False)


def test_a_pattern_may_bring_back_a_default_but_not_what_nginx_refuses() -> None:
    exclusions = Exclusions(["!*.sql", "!*.php"])
    assert not exclusions.excludes(b"/", b"example.sql", False)
    assert is_refused(b"/", b"x.php")


def test_a_pattern_that_does_not_parse_is_named() -> None:
    with pytest.raises(UsageError, match="pattern '!'"):
        Exclusions(["!"])
