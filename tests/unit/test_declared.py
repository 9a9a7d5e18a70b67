"""Settings are declared once: everything else is made of the declaration, or held against it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from memfis import __version__
from memfis.errors import ConfigurationError, UsageError
from memfis.settings.agent import AGENT, GATEWAY_LEASE
from memfis.settings.declare import Setting, Table
from memfis.settings.gateway import GATEWAY
from memfis.settings.generate import documents
from memfis.settings.host import HOST, RUN_DIRECTORY, STORE_SOCKET
from memfis.settings.kinds import (
    FALSE,
    TRUE,
    Choice,
    Flag,
    Integer,
    Kind,
    ListOf,
    MapOf,
    Number,
    Text,
)
from memfis.settings.load import settings_from
from memfis.settings.mount import MOUNT
from memfis.settings.patterns import parse_patterns, pattern_problem
from memfis.settings.php import PHP
from memfis.settings.play import problems as role_problems
from memfis.settings.site import SITE
from memfis.settings.site_parts import ERROR_PAGE, EXPIRY, TLS

ROOT = Path(__file__).parents[2]
HOST_MAKES = {
    "users": ["root"],
    "publishes": True,
    "connection": "",
    "web": ["web1"],
    "playbook": "/",
}
EMBEDDED = {
    "memfis_store_embedded": True,
    "memfis_store_address": "unix:/run/memfis-store/memcached.sock",
}
"""What Ansible makes of defaults that are Jinja."""

GOOD_SITE: dict[str, Any] = {"server_names": ["a.example"], "root": "/srv/a"}
GOOD_GATEWAY = {"connection": "couchbase://a", "user": "memfis", "password_file": "/p"}


def play(variables: dict[str, Any]) -> list[str]:
    """Return what the play says of `variables`."""
    return role_problems({**EMBEDDED, **variables}, list(variables), HOST_MAKES)


def agent(table: dict[str, Any]) -> list[str]:
    """Return what the agent, or the gateway, says of a memfis.toml with `table`."""
    try:
        settings_from(table, "memfis.toml")
    except ConfigurationError as error:
        return error.problems
    return []


# -- made of it, or compared with it ---------------------------------------------------------------


def test_files_that_are_made_of_the_declaration_are_as_it_says() -> None:
    assert [str(path) for path, text in documents(ROOT) if path.read_text("utf-8") != text] == []


def test_every_table_of_settings_is_shown_somewhere() -> None:
    shown = "".join(path.read_text() for path in [*ROOT.glob("docs/**/*.md")])
    for name in ("site", "php", "gateway", "memfis.toml"):
        assert f"<!-- settings: {name}, in full -->" in shown
    readme = (ROOT / "roles/memfis/README.md").read_text()
    for name in ("host", "site", "mount"):
        assert f"<!-- settings: {name} -->" in readme


def test_what_the_role_names_is_where_the_declaration_says() -> None:
    role = yaml.safe_load((ROOT / "roles/memfis/vars/main.yml").read_text())
    assert role["__memfis_run_directory"] == RUN_DIRECTORY
    assert role["__memfis_store_socket"] == STORE_SOCKET
    assert f"unix:{role['__memfis_gateway_socket']}" == GATEWAY["listen"].default[0]
    assert role["__memfis_lease"] == GATEWAY_LEASE


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what settings are declared in, and of what is made of them."""
    for part in ("agent", "docs", "roles"):
        shutil.copytree(
            ROOT / part,
            tmp_path / part,
            symlinks=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    return tmp_path


def python(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the package of the copy."""
    environment = os.environ | {"PYTHONPATH": str(copy / "agent"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


GENERATE = ("-m", "memfis.settings.generate")

SEEN = """
import json
from memfis.settings.play import complete_sites
from memfis.settings.values import PhpSettings, Site
from memfis.settings.host import HOST, RUN_DIRECTORY, STORE_SOCKET
made = {"listen": [], "tls_listen": [], "max_page": 1, "header": "", "proxies": [],
        "from_memory": "off", "store_address": "", "types": "", "php": {"microcache": ""}}
[site] = complete_sites([{"server_names": ["a"], "root": "/a", "php": {}}], made)
print(json.dumps({
    "agent": [PhpSettings(canonical="https://a").lifetime, Site(name="a").compress_min_size],
    "play": [site["php"]["lifetime"], site["compress_min_size"]],
    "host": HOST["memfis_agent_wait"].default}))
"""


def test_a_default_is_changed_in_one_place_and_seen_everywhere(copy: Path) -> None:
    def edit(path: str, old: str, new: str) -> None:
        text = (copy / path).read_text()
        assert text.count(old) == 1
        (copy / path).write_text(text.replace(old, new))

    edit("agent/memfis/settings/php.py", "            300,\n", "            4321,\n")
    edit("agent/memfis/settings/host.py", "            300,\n", "            5432,\n")
    edit("agent/memfis/layout/compression.py", "MIN_SIZE = 512\n", "MIN_SIZE = 6543\n")
    done = python(copy, *GENERATE, "--check")
    assert done.returncode == 1
    written = {line.partition(":")[0] for line in done.stdout.splitlines()}
    assert {"roles/memfis/defaults/main.yml", "roles/memfis/README.md", "docs/php.md"} <= written
    assert python(copy, *GENERATE).returncode == 0
    assert python(copy, *GENERATE, "--check").returncode == 0

    seen = json.loads(python(copy, "-c", SEEN).stdout)
    assert seen == {"agent": [4321, 6543], "play": [4321, 6543], "host": 5432}
    assert "memfis_agent_wait: 5432\n" in (copy / "roles/memfis/defaults/main.yml").read_text()
    assert "default: 5432" in (copy / "roles/memfis/meta/argument_specs.yml").read_text()
    readme = (copy / "roles/memfis/README.md").read_text()
    assert "| `memfis_agent_wait` | `5432` |" in readme
    assert "| `compress_min_size` | `6543` |" in readme
    assert "| `lifetime` | `4321` |" in (copy / "docs/php.md").read_text()


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("roles/memfis/README.md", "| `compress_level` | `3` |", "| `compress_level` | `4` |"),
        ("roles/memfis/defaults/main.yml", "memfis_agent_wait: 300", "memfis_agent_wait: 301"),
        ("roles/memfis/meta/argument_specs.yml", "memfis_doctor:", "memfis_docter:"),
        ("docs/gateway.md", "| `hot_ttl` | `1.0` |", "| `hot_ttl` | `2.0` |"),
    ],
)
def test_a_table_that_differs_is_named(copy: Path, path: str, old: str, new: str) -> None:
    text = (copy / path).read_text()
    assert old in text
    (copy / path).write_text(text.replace(old, new, 1))
    done = python(copy, *GENERATE, "--check")
    assert done.returncode == 1
    assert done.stdout == f"{path}: differs from the declaration of settings\n"


def test_the_role_needs_nothing_but_the_standard_library() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'agent')!r})\n"
        "from memfis.settings.play import problems\n"
        "print(problems({'memfis_sites': 1}, ['memfis_sites'], {}))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "['memfis_sites: 1: expected a list of sites']\n"


# -- every wrong kind of value for every key -------------------------------------------------------

ANYTHING: list[Any] = [
    *(True, False, -1, 0, 1, 10**30, 1.5, float("nan"), "", "text", "-x /\\;{}$", "\0", "a\nb"),
    *([], {}, ["\0"], [[]], {"": 1}, {"x": "\0"}, [1.5], [True], [{}]),
]


def certainly_wrong(kind: Kind) -> Iterator[Any]:
    """Yield those of ANYTHING whose type alone no setting of that kind takes."""
    for value in ANYTHING:
        if isinstance(kind, Text | Choice):
            bare = isinstance(kind, Choice) and kind.false and value is False
            fits = isinstance(value, str) or (
                isinstance(value, int) and (bare or not isinstance(value, bool))
            )
        elif isinstance(kind, Integer):
            fits = isinstance(value, int) and not isinstance(value, bool)
        elif isinstance(kind, Number):
            fits = isinstance(value, int | float) and not isinstance(value, bool)
        elif isinstance(kind, Flag):
            words = kind.in_words and str(value).lower() in TRUE | FALSE
            fits = isinstance(value, bool) or words
        elif isinstance(kind, ListOf):
            fits = isinstance(value, list)
        else:
            assert isinstance(kind, MapOf | Table)
            fits = isinstance(value, dict)
        if not fits:
            yield value


def of_each(table: Table) -> pytest.MarkDecorator:
    """Run a test for every setting of `table`."""
    return pytest.mark.parametrize("setting", table.settings, ids=table.names)


def one_line(found: list[str], where: str) -> str:
    [line] = [each for each in found if each.startswith(f"{where}:")]
    assert "\n" not in line
    assert ": expected " in line
    return line


@of_each(HOST)
def test_what_no_variable_can_be_is_said_in_one_line(setting: Setting) -> None:
    for value in certainly_wrong(setting.kind):
        one_line(play({setting.name: value}), setting.name)


@of_each(SITE)
def test_what_no_setting_of_a_site_can_be_is_said_in_one_line(setting: Setting) -> None:
    key = setting.name
    for value in certainly_wrong(setting.kind):
        said = play({"memfis_sites": [{**GOOD_SITE, key: value}]})
        line = one_line(said, f"memfis_sites[0].{key}")
        if "agent" in setting.read_by and setting.in_toml is None:
            said = agent({"sites": [{"name": "a", "root": "/a", key: value}]})
            assert one_line(said, f"sites[0].{key}") == line.removeprefix("memfis_")


@of_each(PHP)
def test_what_no_setting_of_php_can_be_is_said_in_one_line(setting: Setting) -> None:
    key = setting.name
    for value in certainly_wrong(setting.kind):
        said = play({"memfis_sites": [{**GOOD_SITE, "php": {"backends": ["unix:/p"], key: value}}]})
        line = one_line(said, f"memfis_sites[0].php.{key}")
        if "agent" in setting.read_by and setting.in_toml is None:
            php = {"canonical": "https://a", key: value}
            said = agent({"sites": [{"name": "a", "root": "/a", "origin": "/o", "php": php}]})
            assert one_line(said, f"sites[0].php.{key}") == line.removeprefix("memfis_")


@of_each(GATEWAY)
def test_what_no_setting_of_the_gateway_can_be_is_said_in_one_line(setting: Setting) -> None:
    key, inside = setting.name, HOST["memfis_gateway"].kind
    assert isinstance(inside, Table)
    for value in certainly_wrong(setting.kind):
        line = one_line(agent({"gateway": {**GOOD_GATEWAY, key: value}}), f"gateway.{key}")
        if key in inside.names:
            said = play({"memfis_gateway": {key: value}})
            assert one_line(said, f"memfis_gateway.{key}") == f"memfis_{line}"


@of_each(AGENT)
def test_what_the_agent_cannot_read_is_said_in_one_line(setting: Setting) -> None:
    for value in certainly_wrong(setting.kind):
        one_line(agent({setting.name: value}), setting.name)


@of_each(MOUNT)
def test_what_no_mount_can_have_is_said_in_one_line(setting: Setting) -> None:
    for value in certainly_wrong(setting.kind):
        mount = {"site": "a.example", "path": "/mnt", setting.name: value}
        one_line(play({"memfis_mounts": [mount]}), f"memfis_mounts[0].{setting.name}")


@pytest.mark.parametrize(
    ("table", "place"),
    [(TLS, "tls"), (ERROR_PAGE, "error_pages[0]"), (EXPIRY, "expires[0]")],
    ids=["tls", "error_pages", "expires"],
)
def test_what_no_table_inside_a_site_can_have(table: Table, place: str) -> None:
    for setting in table.settings:
        for value in certainly_wrong(setting.kind):
            inner = {setting.name: value}
            wrong = [inner] if place.endswith("]") else inner
            site = {**GOOD_SITE, place.removesuffix("[0]"): wrong}
            one_line(play({"memfis_sites": [site]}), f"memfis_sites[0].{place}.{setting.name}")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.text(max_size=9)
    return st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)


@hypothesis_settings(deadline=None)
@given(st.recursive(SCALARS, nested, max_leaves=6), st.sampled_from(HOST.names))
def test_whatever_is_given_is_answered_with_lines_that_name_the_variable(
    value: Any, name: str
) -> None:
    for line in play({name: value}):
        assert line.startswith(name)
        assert "\n" not in line
        assert line.isprintable()


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"memfis_site": []}, "memfis_site: no such variable; did you mean 'memfis_sites'?"),
        ({"memfis_store_memroy": 1}, "memfis_store_memroy: no such variable; did you mean"),
        ({"memfis_couchbase_pasword": 1}, "memfis_couchbase_pasword: no such variable; did you"),
        (
            {"memfis_sites": [{**GOOD_SITE, "server_name": ["a"]}]},
            "memfis_sites[0].server_name: no such setting; did you mean 'server_names'?",
        ),
        (
            {"memfis_sites": [{**GOOD_SITE, "expires": [{"type": "immage/", "expires": "1d"}]}]},
            "memfis_sites[0].expires[0].type: 'immage/': expected a media type or its beginning, as"
            " image/; did you mean 'image/'?",
        ),
        (
            {"memfis_sites": [{**GOOD_SITE, "server_names": "www.example.org"}]},
            "memfis_sites[0].server_names: 'www.example.org': expected a list of server names;"
            " write ['www.example.org']",
        ),
        (
            {"memfis_gateway": {"listen": []}},
            "memfis_gateway.listen: no such setting any more; write the variable of its own",
        ),
        ({"memfis_store_memory": 8}, "memfis_store_memory: 8: expected at least twice"),
        ({"memfis_couchbase_password": 5.5}, "memfis_couchbase_password: expected text"),
    ],
)
def test_slips_are_answered_with_what_was_meant(given: dict[str, Any], line: str) -> None:
    [found] = play(given)
    assert found.startswith(line)


def test_every_mistake_in_sites_is_told_at_once() -> None:
    wrong = [{"server_names": ["A_b"], "root": "relative"}, GOOD_SITE, GOOD_SITE]
    found = play({"memfis_sites": wrong})
    assert len(found) == 3
    for part in ("'A_b'", "'relative'", "is also the name of memfis_sites[1]"):
        assert part in "\n".join(found)


def test_variables_of_others_are_theirs() -> None:
    assert play({"memfis_deploy_key": 1, "memfis_my_domain": "x"}) == []


def test_numbers_and_flags_of_the_command_line_are_text() -> None:
    given = {"memfis_store_memory": "512", "memfis_php": "yes", "memfis_doctor": "False"}
    assert play(given) == []
    assert HOST.read(given) == {
        "memfis_store_memory": 512,
        "memfis_php": True,
        "memfis_doctor": False,
    }


def test_a_setting_that_was_renamed_is_refused_with_its_new_name() -> None:
    line = (
        "sites[0].memory: no such setting any more; write from_memory, which is 'off' where memory"
        " was false"
    )
    assert play({"memfis_sites": [{**GOOD_SITE, "memory": False}]}) == [f"memfis_{line}"]
    assert agent({"sites": [{"name": "a", "root": "/a", "memory": False}]}) == [line]


def test_yaml_reads_off_as_false() -> None:
    given = yaml.safe_load("{memfis_from_memory: off, memfis_sites: [{from_memory: off}]}")
    given["memfis_sites"][0] |= GOOD_SITE
    assert play(given) == []
    read = HOST.read(given)
    assert (read["memfis_from_memory"], read["memfis_sites"][0]["from_memory"]) == ("off", "off")
    [line] = play({"memfis_from_memory": True})
    words = "'lua' or 'memcached_pass' or 'off' or ''"
    assert line.startswith(f"memfis_from_memory: true: expected {words}")
    assert len(agent({"sites": [{"name": "a", "root": "/a", "from_memory": False}]})) == 1


@pytest.mark.parametrize("reader", ["off", False, "lua"])
def test_what_the_host_says_of_memory_holds_for_sites_that_say_nothing(reader: object) -> None:
    stored = {"server_names": ["s.example"], "source": "store"}
    mount = {"site": "a.example", "path": "/mnt/a", "read_only": True}
    sites, given = [stored, GOOD_SITE], {"memfis_from_memory": reader, "memfis_mounts": [mount]}
    found = play({**given, "memfis_sites": sites})
    off = [] if reader == "lua" else ["memfis_sites[0].from_memory", "memfis_mounts[0].site"]
    assert [line.split(":")[0] for line in found] == off
    asked = [{**site, "from_memory": "memcached_pass"} for site in sites]
    assert play({**given, "memfis_sites": asked}) == []


def test_a_file_of_a_newer_version_is_refused_in_one_line() -> None:
    newer = {"version": "99.1.0", "from_memory": "lua", "sites": [{"whatever": 1}]}
    [line] = agent(newer)
    assert line.startswith(f"version: was written for memfis 99.1.0, and this is {__version__}")
    for version in (__version__, "0.1.0", "0.1"):
        assert agent({"version": version}) == []
    assert len(agent({"version": "new"})) == 1


# -- patterns --------------------------------------------------------------------------------------


@hypothesis_settings(deadline=None)
@given(st.text(alphabet="!/\\[]-^az*? .#", max_size=8) | st.text(max_size=6))
@example("!")
@example("[z-a]")
@example("a\\")
@example("a\\/b")
@example("[!]")
@example("[[]z-a]")
def test_a_pattern_parses_for_the_play_when_it_does_for_the_agent(pattern: str) -> None:
    try:
        parse_patterns([pattern])
    except UsageError:
        parses = False
    else:
        parses = True
    assert (pattern_problem(pattern) is None) is parses
