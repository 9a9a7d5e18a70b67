"""`memfis_state: absent` of a host with PHP, and its packages with it: last of all."""

from pathlib import Path

from support.left import left, left_files
from support.plays import play

INVENTORY = Path(__file__).parents[1] / "inventory"


def test_nothing_is_left_but_what_the_packages_leave(wiki_host):
    variables = {"memfis_state": "absent", "memfis_absent_packages": True}
    done = play(INVENTORY, "--limit=wiki.memfis", **variables)
    assert done.returncode == 0, done.stdout

    for kind in ("packages", "users", "groups", "units", "listeners"):
        assert left(wiki_host, kind) == set(), kind
    # DokuWiki's package keeps what the wiki has written, and what an administrator has put there.
    assert left_files(wiki_host, "/etc/dokuwiki", "/var/lib/dokuwiki") == []
    # pgrep has gone too.
    running = wiki_host.check_output("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")
    for program in ("/opt/memfis", "memcached", "nginx", "php-fpm"):
        assert program not in running
    assert wiki_host.check_output("systemctl --failed --no-legend --plain") == ""
