"""What `memfis_state: absent` leaves of a host: what is there, and was not before the first play.

molecule/default/tasks/note_before.yml has noted what was, and how that is found.
"""

from typing import Any

BEFORE = "/root/before-memfis"

NOT_OURS = (
    "/etc/.pwd.lock",
    "/etc/alternatives/",
    "/etc/group-",
    "/etc/gshadow-",
    "/etc/ld.so.cache",
    "/etc/memcached.conf",
    "/etc/nginx/modules-enabled/",
    "/etc/nginx/sites-",
    "/etc/passwd-",
    "/etc/shadow-",
    "/etc/subgid-",
    "/etc/subuid-",
    "/etc/systemd/system/multi-user.target.wants/",
    "/etc/rc",
    "/home/deploy",
    "/mnt/",
    "/root/",
    "/srv/",
    "/usr/lib/python3",
    "/usr/local/lib/python3",
    "/usr/share/",
    "/var/backups/",
    "/var/lib/",
    "/var/www",
)
"""How files begin that apt, dpkg's backup at midnight, systemd, nginx, pip or Ansible leave and no
package lists, or that the tests of a host have put there."""


def left(host: Any, kind: str) -> set[str]:
    """Return what `host` has of `kind` now, and had not: a line of its command each."""
    lines = host.check_output("sh /root/what-is-there %s", kind).splitlines()
    return set(lines) - set(host.file(f"{BEFORE}/{kind}").content_string.splitlines())


def left_files(host: Any, *also: str) -> list[str]:
    """Return the files of no package, but for what begins with `also`, and what is `NOT_OURS`.

    Those with our name in theirs are none of the latter, but below /root.
    """
    packaged = set(host.check_output("cat /var/lib/dpkg/info/*.list").splitlines())
    packaged |= {f"/usr{path}" for path in packaged}  # /bin and the like are links
    files = {path for path in left(host, "files") - packaged if not path.startswith(also)}
    named = {path for path in files if "memfis" in path and not path.startswith("/root/")}
    return sorted(named | {path for path in files if not path.startswith(NOT_OURS)})
