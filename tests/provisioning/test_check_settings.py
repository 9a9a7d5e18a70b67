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


def play(directory: Path, *arguments: str, **variables: Any) -> list[str]:
    """Check `variables` in a play, and return the lines with which it fails; none if it does not.

    `arguments` are those of ansible-playbook.
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
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "Traceback" not in done.stdout + done.stderr
    said = re.search(r"^    msg: (?:\|-\n((?: {8}.*\n)+)|(.*)\n)", done.stdout, re.MULTILINE)
    assert (said is None) is (done.returncode == 0), done.stdout + done.stderr
    if said is None:
        return []
    return [line.strip() for line in (said[1] or said[2]).splitlines()]


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
    host = {"users": [], "publishes": True, "connection": "", "web": []}
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
    ]
