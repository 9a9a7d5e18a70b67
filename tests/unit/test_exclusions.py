from fnmatch import fnmatchcase

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from memfis.errors import UsageError
from memfis.webroot.exclusions import DEFAULT_PATTERNS, Exclusions, RefusedNames

ENDINGS = (
    *(pattern.replace("*", "").encode() for pattern in DEFAULT_PATTERNS),
    *(b".php", b".php7", b".phtml", b".phar", b".phps", b".inc", b".well-known", b".html"),
)
"""What decides over a name, mostly at one of its ends."""

LITTLE = st.sampled_from([b"", b"a", b"~", b".", b"#", b"\n", b"\r", b"\xff", b"\xc5\xbf", b"8"])
BYTES = st.binary(max_size=6).map(lambda each: each.replace(b"/", b"").replace(b"\0", b""))
PART = st.one_of(LITTLE, BYTES, st.sampled_from(ENDINGS), st.sampled_from(ENDINGS).map(bytes.upper))
NAME = (
    st.lists(PART, min_size=1, max_size=4)
    .map(b"".join)
    .filter(lambda n: n not in (b"", b".", b".."))
)
FIT = st.sampled_from([b"index.html", b"logo.PNG", b"a\nb", b"caf\xe9.html", b"key", b"php", b"~a"])
DIRECTORY = st.sampled_from([b"/", b"/docs/", b"/.well-known/", b"/x.sql/"])
PATTERNS = st.sampled_from([(), ("*.iso",), ("!*.sql", "/docs/"), ("*", "!*.php"), ("a*", "!/a")])


STRICT, LENIENT = RefusedNames(strict=True), RefusedNames(strict=False)

SCRIPTS = (
    *((b"/", b"index.php"), (b"/", b"INDEX.PHP"), (b"/", b"x.php7"), (b"/", b"x.php.bak")),
    *((b"/", b"x.php~"), (b"/", b"config.inc"), (b"/", b"x.phtml"), (b"/", b"x.phar")),
    *((b"/", b"a\nb.php"), (b"/docs/", b"x.Php.OLD"), (b"/", b"x.php.bak~.save")),
    *((b"/", b"#x.php#"), (b"/", b"x.php.~12~"), (b"/", b"x.inc.dpkg-old.rej")),
)
HIDDEN = ((b"/", b".htaccess"), (b"/", b".git"), (b"/.well-known/", b".hidden"), (b"/", b"."))


@pytest.mark.parametrize(("directory", "name"), [*SCRIPTS, *HIDDEN, (b"/", b".well-known~")])
@pytest.mark.parametrize("refused", [STRICT, LENIENT])
def test_what_nginx_refuses_is_never_stored(
    refused: RefusedNames, directory: bytes, name: bytes
) -> None:
    assert refused.refuses(directory, name, False)


@pytest.mark.parametrize(
    ("directory", "name"),
    [(b"/", b".well-known"), (b"/", b"php"), (b"/", b"x.phpx"), (b"/", b"include.html")],
)
@pytest.mark.parametrize("refused", [STRICT, LENIENT])
def test_what_only_looks_alike_is_not_refused(
    refused: RefusedNames, directory: bytes, name: bytes
) -> None:
    assert not refused.refuses(directory, name, False)


@pytest.mark.parametrize(
    ("directory", "name", "is_directory"),
    [
        (b"/cov/", b"Foo.php.html", False),
        (b"/", b"util.inc.gcov.html", False),
        (b"/", b"d.php.txt", False),
        (b"/", b"tool.phar.asc", False),
        (b"/", b"x.php.bak.html", False),
        (b"/", b"v1.php", True),
        (b"/docs/", b".well-known", True),
    ],
)
def test_a_site_that_runs_no_scripts_has_names_that_only_contain_a_scripts(
    directory: bytes, name: bytes, is_directory: bool
) -> None:
    assert not LENIENT.refuses(directory, name, is_directory)
    assert STRICT.refuses(directory, name, is_directory)


def test_the_extensions_of_scripts_can_be_none_or_others() -> None:
    none = RefusedNames((), strict=False)
    assert not none.refuses(b"/", b"x.php", False)
    assert none.refuses(b"/", b".git", False)
    others = RefusedNames(("ASP", "c++"), strict=False)
    assert others.refuses(b"/", b"x.asp.bak", False)
    assert others.refuses(b"/", b"x.C++", False)
    assert not others.refuses(b"/", b"x.php", False)
    assert not others.refuses(b"/", b"x.ccc", False)
    where_scripts_run = RefusedNames(("asp",), strict=True)
    assert where_scripts_run.refuses(b"/", b"x.asp.txt", False)
    assert where_scripts_run.refuses(b"/", b"x.php.txt", False)


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
    assert exclusions.leave_out(b"/", b"x.php", False)


def test_a_pattern_that_does_not_parse_is_named() -> None:
    with pytest.raises(UsageError, match="pattern '!'"):
        Exclusions(["!"])


REFUSED = st.sampled_from(
    [
        *(STRICT, LENIENT, RefusedNames((), strict=False)),
        *(RefusedNames(("a", "c++", "8"), strict=each) for each in (False, True)),
    ]
)


@settings(deadline=None)
@given(
    directory=DIRECTORY,
    name=NAME,
    is_directory=st.booleans(),
    patterns=PATTERNS,
    refused=REFUSED,
)
@example(b"/", b".well-known", True, (), STRICT)
@example(b"/docs/", b".well-known", True, (), LENIENT)
@example(b"/", b"wp-config.php~", False, (), LENIENT)
@example(b"/", b"x.sql\n", False, (), STRICT)
@example(b"/", b"#x#", False, (), LENIENT)
def test_the_fast_way_to_decide_decides_the_same(
    directory: bytes,
    name: bytes,
    is_directory: bool,
    patterns: tuple[str, ...],
    refused: RefusedNames,
) -> None:
    exclusions = Exclusions(patterns, refused)
    fast = exclusions.leave_out(directory, name, is_directory)
    slow = refused.refuses(directory, name, is_directory)
    assert fast == (slow or exclusions.excludes(directory, name, is_directory))


@settings(deadline=None)
@given(directory=DIRECTORY, names=st.lists(NAME, max_size=4), patterns=PATTERNS, refused=REFUSED)
@example(b"/", [b".well-known"], (), STRICT)
@example(b"/", [b"page.html", b"x.sql\n", b"other.html"], (), LENIENT)
@example(b"/", [b"page.html", b"id_rsa.pub"], (), LENIENT)
@example(b"/", [b"x.SQL.gz", b"page.html"], (), STRICT)
@example(b"/", [b"page.html", b"x.c++~"], (), RefusedNames(("c++",), strict=False))
def test_all_names_at_once_are_not_taken_for_fit_when_one_is_not(
    directory: bytes, names: list[bytes], patterns: tuple[str, ...], refused: RefusedNames
) -> None:
    exclusions = Exclusions(patterns, refused)
    if exclusions.leaves_out_none(names):
        for name in names:
            assert not refused.refuses(directory, name, False)
            assert not exclusions.excludes(directory, name, False)


@pytest.mark.parametrize("pattern", DEFAULT_PATTERNS[:16])
def test_a_copy_that_a_default_pattern_fits_is_the_scripts_own(pattern: str) -> None:
    """Those of editors and tools, that is: the first of the list."""
    copy = pattern.replace("*", "x.php" if pattern[0] == "*" else "#x.php", 1).replace("*", "old")
    assert Exclusions().excludes(b"/", copy.encode(), False)
    assert LENIENT.refuses(b"/", copy.encode(), False)


def fits(pattern: str, name: bytes) -> bool:
    """Return whether `name` fits one of the default patterns, as a shell has it, in any case.

    The case of ASCII's letters, that is: nobody knows what the other bytes mean.
    """
    return fnmatchcase(name.lower().decode("latin-1"), pattern.lower())


@st.composite
def fitting(draw: st.DrawFn) -> bytes:
    """Draw a name that fits a default pattern: any bytes for its stars, its letters in any case."""
    first, *others = draw(st.sampled_from(DEFAULT_PATTERNS)).encode().split(b"*")
    name = first + b"".join(draw(PART | st.just(b"")) + part for part in others)
    upper = draw(st.lists(st.booleans(), min_size=len(name), max_size=len(name)))
    return b"".join(
        byte.upper() if up else byte
        for byte, up in zip((bytes([number]) for number in name), upper, strict=True)
    )


@settings(deadline=None)
@given(name=NAME | fitting())
@example(b"#")
@example(b"##")
@example(b"~")
@example(b".pem")
@example(b"server.pem\n")
@example(b"a\nserver.pem")
@example(b"x.sql.")
@example(b"ID_RSA\xff")
@example(b"desktop.ini.html")
@example(b"\xe4.TMP")
@example(b"x.\xc5\xbfql")
def test_the_defaults_are_those_names_that_fit_a_default_pattern(name: bytes) -> None:
    expected = any(fits(pattern, name) for pattern in DEFAULT_PATTERNS)
    assert Exclusions().excludes(b"/", name, False) == expected


@settings(deadline=None)
@given(directory=DIRECTORY, name=fitting(), before=st.lists(FIT), after=st.lists(FIT))
@example(b"/", b"server.pem", [b"index.html"], [b"logo.png"])
@example(b"/", b"dump.sql", [], [])
@example(b"/", b"DUMP.SQL", [b"a\n"], [b"\nb"])
@example(b"/", b"#\xff\n#", [b"a"], [])
def test_a_name_that_fits_a_default_pattern_never_gets_past_a_quick_look(
    directory: bytes, name: bytes, before: list[bytes], after: list[bytes]
) -> None:
    exclusions = Exclusions()
    assert exclusions.excludes(directory, name, False)
    assert exclusions.leave_out(directory, name, False)
    assert not exclusions.leaves_out_none([*before, name, *after])


@settings(deadline=None)
@given(names=st.lists(FIT))
def test_a_quick_look_is_enough_for_names_that_are_fit(names: list[bytes]) -> None:
    exclusions = Exclusions()
    assert exclusions.leaves_out_none(names)
    assert not any(exclusions.leave_out(b"/", name, False) for name in names)


@pytest.mark.parametrize("pattern", DEFAULT_PATTERNS)
def test_each_default_pattern_is_found_among_fit_names(pattern: str) -> None:
    name = pattern.replace("*", "some").encode()
    assert Exclusions().leaves_out_none([b"index.html", b"logo.png", b"no extension"])
    assert not Exclusions().leaves_out_none([b"index.html", name, b"logo.png"])
    assert not Exclusions().leaves_out_none([name.upper()])
