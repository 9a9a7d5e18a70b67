"""What apt, dpkg and pip say on hosts that cannot install anything, in one line.

molecule/neighbours has apt say it; these are the words of Debian 12's, and of its pip.
"""

from typing import Any

import pytest

FULL = "make room on the host's disk, and run the play again"
UNRESOLVED = "see to the host's name resolution (/etc/resolv.conf), and run the play again"

UNPACKED = """\
Unpacking memcached (1.6.18-1) ...
dpkg: error processing archive /var/cache/apt/archives/memcached_1.6.18-1_amd64.deb (--unpack):
 cannot copy extracted data for './usr/share/memcached/scripts/damemtop' to \
'/usr/share/memcached/scripts/damemtop.dpkg-new': failed to write (No space left on device)
Errors were encountered while processing:
 /var/cache/apt/archives/memcached_1.6.18-1_amd64.deb
"""

PIP = """\
stdout: Processing /opt/memfis/wheels/270e97408db32736/memfis-0.2.0-py3-none-any.whl

:stderr: WARNING: Retrying (Retry(total=4, connect=None, read=None, redirect=None, status=None)) \
after connection broken by 'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection \
object at 0x7fbff01d1b50>: Failed to establish a new connection: [Errno -3] Temporary failure in \
name resolution')': /simple/click/
ERROR: Could not find a version that satisfies the requirement click>=8.1 (from memfis)
ERROR: No matching distribution found for click>=8.1
"""

VENV = """\

:stderr: Error: Command '['/opt/memfis/venvs/e1a8/bin/python3', '-m', 'ensurepip', '--upgrade', \
'--default-pip']' returned non-zero exit status 1.
"""


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            {"results": [{"failed": False}, {"failed": True, "rc": 100, "stdout": UNPACKED}]},
            "cannot copy extracted data for './usr/share/memcached/scripts/damemtop' to"
            " '/usr/share/memcached/scripts/damemtop.dpkg-new': failed to write (No space left on"
            f" device): {FULL}",
        ),
        ({"msg": PIP}, f"Temporary failure in name resolution: {UNRESOLVED}"),
        (
            {"msg": VENV},
            "Command '['/opt/memfis/venvs/e1a8/bin/python3', '-m', 'ensurepip', '--upgrade',"
            " '--default-pip']' returned non-zero exit status 1.",
        ),
        (
            {"msg": "No package matching 'nginx' is available"},
            "No package matching 'nginx' is available",
        ),
        (
            "E: The repository 'http://deb.debian.org x Release' does not have a Release file.",
            "The repository 'http://deb.debian.org x Release' does not have a Release file.",
        ),
    ],
)
def test_the_reason_is_one_line(role_filters: Any, said: object, told: str) -> None:
    assert role_filters.install_problem(["", said]) == told
