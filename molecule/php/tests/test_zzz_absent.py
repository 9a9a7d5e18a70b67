"""`memfis_state: absent` of a host with PHP, and its packages with it: last of all."""

import os
import subprocess
from pathlib import Path

from support.left import left, left_files

SCENARIO = Path(__file__).parents[1]


def test_nothing_is_left_but_what_the_packages_leave(wiki_host):
    command = ("ansible-playbook", f"--inventory={SCENARIO / 'inventory'}", "--limit=wiki.memfis")
    variables = "--extra-vars=memfis_state=absent memfis_absent_packages=true"
    done = subprocess.run(
        [*command, variables, "site.yml"],
        cwd=SCENARIO.parents[1],
        env=os.environ | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout)  # pytest shows it where the test fails
    assert done.returncode == 0

    for kind in ("packages", "units", "listeners"):
        assert left(wiki_host, kind) == set(), kind
    # memcached's package keeps its user.
    for kind in ("users", "groups"):
        assert left(wiki_host, kind) == {"memcache"}, kind
    # DokuWiki's package keeps what the wiki has written.
    assert left_files(wiki_host, "/etc/dokuwiki") == []
    assert not wiki_host.run("pgrep --full 'memfi[s]|ngin[x]|php-fp[m]'").stdout
    assert wiki_host.check_output("systemctl --failed --no-legend --plain") == ""
