"""What a play says of settings that cannot be, as ansible-playbook prints it."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from memfis.settings.play import problems

ROOT = Path(__file__).parents[2]
ROLE = "memfis.memfis.memfis"
HOST = {
    **{"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
    "ansible_facts": {"distribution": "Debian", "distribution_version": "12.1"},
}
SITE: dict[str, Any] = {"server_names": ["a.example"], "root": "/srv/a"}


def played(
    directory: Path, *arguments: str, **variables: Any
) -> tuple[list[str], subprocess.CompletedProcess[str]]:
    """Check `variables` in a play, and return the lines with which it fails, and all it printed.

    `arguments` are those of ansible-playbook. A play that does not fail has no lines.
    """
    tasks = [
        {"ansible.builtin.set_fact": {"ansible_facts": HOST["ansible_facts"]}},
        {"ansible.builtin.include_vars": str(ROOT / "roles/memfis/vars/Debian.yml")},
        {"ansible.builtin.include_role": {"name": ROLE, "tasks_from": "check_settings"}},
    ]
    hosts = [{"hosts": "memfis_web", "gather_facts": False, "tasks": tasks, "vars": variables}]
    inventory = {"memfis_web": {"hosts": {"web1": HOST}}}
    (directory / "inventory.yml").write_text(yaml.safe_dump(inventory))
    (directory / "play.yml").write_text(yaml.safe_dump(hosts))
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            *("--inventory", "inventory.yml", "play.yml", *arguments),
        ],
        cwd=directory,
        env=os.environ
        | {
            **{"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"), "ANSIBLE_NOCOLOR": "1"},
            **{"ANSIBLE_HOME": str(directory / "ansible"), "LC_ALL": "C.UTF-8"},
            **{"ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml", "HOME": str(directory), "COLUMNS": "999"},
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "Traceback" not in done.stdout + done.stderr
    said = re.search(r"^    msg: (?:\|-\n((?: {8}.*\n)+)|(.*)\n)", done.stdout, re.MULTILINE)
    assert (said is None) is (done.returncode == 0), done.stdout + done.stderr
    lines = [] if said is None else (said[1] or said[2]).splitlines()
    return [line.strip() for line in lines], done


def play(directory: Path, *arguments: str, **variables: Any) -> list[str]:
    """Return the lines alone."""
    return played(directory, *arguments, **variables)[0]


def test_defaults_are_what_they_should_be(tmp_path: Path) -> None:
    assert play(tmp_path) == []


def test_a_play_says_what_the_declaration_says_a_line_each(tmp_path: Path) -> None:
    wrong: dict[str, Any] = {
        "memfis_store_memroy": 300,
        "memfis_store_threads": "many",
        "memfis_sites": [
            {**SITE, "server_names": "a.example", "exlude": []},
            {**SITE, "expires": [{"type": "immage/", "expires": "1d"}], "php": {"timeout": []}},
        ],
        "memfis_gateway": {"hot_ttl": 100, "connection": "couchbase://a"},
        "memfis_mounts": [{"site": "a.example", "path": "mnt"}],
    }
    host = {"users": [], "publishes": True, "connection": "", "web": [], "playbook": "/"}
    found = play(tmp_path, **wrong)
    assert len(found) == 9
    assert sorted(found) == sorted(problems(wrong, list(wrong), host))


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ("memfis_store_memory=512", 0),
        ("memfis_store_memory=much", 1),
        ("memfis_php=yes", 0),
        ("memfis_php=perhaps", 1),
        ("memfis_couchbase_password=5", 0),
    ],
)
def test_values_of_the_command_line_are_text(tmp_path: Path, given: str, lines: int) -> None:
    assert len(play(tmp_path, "--extra-vars", given)) == lines


def test_what_does_not_go_together(tmp_path: Path) -> None:
    found = play(tmp_path, memfis_sites=[SITE, SITE, {**SITE, "name": "b", "php": {}}])
    assert found == [
        "memfis_sites[1].name: 'a.example': is also the name of memfis_sites[0], another site",
        "memfis_sites[2].php.backends: is missing: name php-fpm's sockets, or let the role install"
        " it (memfis_php: true)",
        *(
            f"memfis_sites[{number}].server_names: 'a.example': is a name of memfis_sites[0] at 80,"
            " too; give it to one of them"
            for number in (1, 2)
        ),
    ]


def test_names_that_are_not_quite_ours(tmp_path: Path) -> None:
    found, done = played(
        tmp_path,
        memfis_site=[SITE],
        memfis_sites=[{**SITE, "server_names": "a.example"}, {"server_name": ["b"], "root": "/b"}],
        memfis_store_memory=8,
        memfis_colour="blue",
    )
    assert found == [
        "memfis_site: no such variable; did you mean 'memfis_sites'?",
        "memfis_sites[0].server_names: 'a.example': expected a list of server names; write"
        " ['a.example']",
        "memfis_sites[1].server_name: no such setting; did you mean 'server_names'?",
        "memfis_sites[1].server_names: is missing",
    ]
    warned = "[WARNING]: memfis_colour: no variable of memfis has this name, so it changes nothing"
    assert done.stderr.count(warned) == 1
    assert done.stderr.count("memfis_site:") == 0
    _, done = played(tmp_path, memfis_store_memory=8)
    said = "memfis_store_memory: 8: expected at least twice memfis_store_item_size (20m), or"
    assert said in " ".join(done.stdout.split())


def test_content_is_looked_for_where_the_user_of_the_play_means_it(tmp_path: Path) -> None:
    """As README has it: `~` is a home on the controller."""
    (tmp_path / "sites" / "a").mkdir(parents=True)
    sites = [
        {**SITE, "src": "~/sites/a"},
        {**SITE, "name": "b", "server_names": ["b"], "src": "sites/a"},
        {**SITE, "name": "c", "server_names": ["c"], "src": "~/sites/c"},
        {**SITE, "name": "d", "server_names": ["d"], "src": "sites/d"},
    ]
    assert play(tmp_path, memfis_sites=sites) == [
        "memfis_sites[2].src: '~/sites/c': there is no such directory on the controller"
        f" ({tmp_path}/sites/c)",
        "memfis_sites[3].src: 'sites/d': there is no such directory on the controller"
        f" ({tmp_path}/sites/d)",
    ]
