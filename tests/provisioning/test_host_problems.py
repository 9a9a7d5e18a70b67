"""What a play says of a host before it changes anything: the role's script, on this machine."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from memfis.settings.needs import needs_of_host
from memfis.settings.play import complete_mounts, complete_sites
from support.tls import Certificate

SCRIPT = Path(__file__).parents[2] / "roles" / "memfis" / "files" / "host_problems.py"
HOST_MAKES: dict[str, Any] = {
    **{"listen": [], "tls_listen": [], "max_page": 1, "header": "", "proxies": []},
    **{"store_address": "unix:/run/m.sock", "types": "", "http2_directive": True},
    "from_memory": "lua",
}
SITE = {"server_names": ["a.example"], "root": "/srv/a"}


def said(
    *sites: dict[str, Any], mounts: tuple[dict[str, Any], ...] = (), **more: Any
) -> dict[str, list[str]]:
    """Return the problems and remarks of a host for `sites`; `more` is what the role adds."""
    nothing = {"names": [], "remove": False, "available": "/none", "settings": "/none"}
    wanted = {
        **needs_of_host(complete_sites(sites, HOST_MAKES), complete_mounts(mounts), ["memfis"]),
        **{"check_mode": False, "memory": 0, "sites": nothing, **more},
    }
    done = subprocess.run(
        [sys.executable, SCRIPT, json.dumps(wanted)], check=True, capture_output=True, text=True
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def with_certificate(certificate: Path, key: Path) -> dict[str, Any]:
    return {**SITE, "tls": {"certificate": str(certificate), "certificate_key": str(key)}}


def test_certificates(tmp_path: Path) -> None:
    one, other = Certificate(tmp_path, "one"), Certificate(tmp_path, "other")
    assert said(with_certificate(one.certificate, one.key)) == {"problems": [], "remarks": []}
    found = said(
        with_certificate(one.certificate, other.key),
        with_certificate(tmp_path / "none", one.key),
        with_certificate(one.key, one.key),
    )
    assert found["problems"] == [
        f"memfis_sites[0].tls.certificate_key: '{other.key}': is not the key of {one.certificate}",
        f"memfis_sites[2].tls: '{one.key}' and '{one.key}': are no certificate and key in PEM",
        f"memfis_sites[1].tls.certificate: '{tmp_path}/none': there is no such file on this host",
    ]
    # A task before the role may make it, which in check mode is only talked of.
    found = said(with_certificate(tmp_path / "none", one.key), check_mode=True)
    assert [len(lines) for lines in found.values()] == [0, 1]


def test_a_certificate_that_has_expired_is_remarked(tmp_path: Path) -> None:
    old = Certificate(tmp_path)
    subprocess.run(
        [
            *("openssl", "x509", "-in", old.certificate, "-signkey", old.key),
            *("-days", "-1", "-out", tmp_path / "old.pem"),
        ],
        check=True,
        capture_output=True,
    )
    found = said(with_certificate(tmp_path / "old.pem", old.key))
    assert found["problems"] == []
    assert found["remarks"] == [
        f"memfis_sites[0].tls.certificate: '{tmp_path}/old.pem': has expired"
    ]


def test_a_key_with_a_password_is_left_to_nginx(tmp_path: Path) -> None:
    one = Certificate(tmp_path)
    subprocess.run(
        [
            *("openssl", "ec", "-aes128", "-passout", "pass:secret"),
            *("-in", one.key, "-out", tmp_path / "locked.key"),
        ],
        check=True,
        capture_output=True,
    )
    found = said(with_certificate(one.certificate, tmp_path / "locked.key"))
    assert found == {"problems": [], "remarks": []}


@contextmanager
def listening(host: str, **options: Any) -> Iterator[int]:
    with socket.create_server((host, 0), **options) as server:
        yield server.getsockname()[1]


def test_who_holds_a_port() -> None:
    with listening("127.0.0.1") as port:
        for address in (str(port), f"127.0.0.1:{port}", f"*:{port} reuseport"):
            [line] = said({**SITE, "listen": [address]})["problems"]
            assert line.startswith(f"memfis_sites[0].listen: {address!r}: ")
            assert f" (process {os.getpid()}" in line
            assert line.endswith(" listens there; stop it, or let the site listen elsewhere")
        assert said({**SITE, "listen": [f"127.0.0.2:{port}"]})["problems"] == []
    assert said({**SITE, "listen": [port]})["problems"] == []


def test_addresses_that_the_host_has_not() -> None:
    addresses = ["192.0.2.1:80", "no-such-host.invalid:80", "unix:/run/a.sock"]
    first, second = said({**SITE, "listen": addresses})["problems"]
    assert first == (
        "memfis_sites[0].listen: '192.0.2.1:80': this host cannot listen there: Cannot assign"
        " requested address"
    )
    assert second.startswith(
        "memfis_sites[0].listen: 'no-such-host.invalid:80': no-such-host.invalid is no address of"
        " this host: "
    )


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_ports_of_both_families() -> None:
    with listening("::", family=socket.AF_INET6) as port:
        assert said({**SITE, "listen": [port]})["problems"] == []
        [line] = said({**SITE, "listen": [f"[::]:{port}"]})["problems"]
        assert f"'[::]:{port}': " in line
    with listening("0.0.0.0") as port:
        assert said({**SITE, "listen": [f"[::]:{port}"]})["problems"] == []
        [line] = said({**SITE, "listen": [f"[::]:{port} ipv6only=off"]})["problems"]
        assert f"'[::]:{port} ipv6only=off': " in line


def test_owners_and_memory() -> None:
    mount = {"site": "a.example", "path": "/mnt/a"}
    mounts = (
        {**mount, "owner": "root", "group": "memfis"},
        {**mount, "owner": "12345", "group": "nobody-here"},
        {**mount, "owner": "nobody-here"},
    )
    assert said(mounts=mounts, memory=2**29)["problems"] == [
        f"memfis_store_memory: {2**29}: this host has {memory()} MiB of memory in all",
        "memfis_mounts[1].group: 'nobody-here': this host has no such group",
        "memfis_mounts[2].owner: 'nobody-here': this host has no such user",
    ]


def memory() -> int:
    """Return the MiB of memory that this machine has, or its container may have."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")
    least = limit.read_text().strip() if limit.exists() else "max"
    return min(total, int(least) if least.isdigit() else total) // 2**20


@pytest.mark.parametrize(
    ("names", "gone"),
    [
        (["a", "b", "c", "new"], None),
        (["a", "b", "new"], None),
        (["a", "b"], None),
        (["a", "new", "other"], "2 of the 3 sites of this host would be taken away (b, c)"),
        ([], "4 of the 4 sites of this host would be taken away (a, agents-only, b, c)"),
    ],
)
def test_sites_that_would_go(tmp_path: Path, names: list[str], gone: str | None) -> None:
    for name in ("a", "b", "c"):
        text = f"# Managed by memfis: site {name}. Changes made here are lost.\n"
        (tmp_path / f"memfis-{name}.conf").write_text(text)
    (tmp_path / "memfis-else.conf").write_text("# somebody else's\n")
    settings = tmp_path / "memfis.toml"
    sites = {"names": names, "available": str(tmp_path), "settings": str(settings)}
    if gone and "agents-only" in gone:
        settings.write_text('[[sites]]\nname = "agents-only"\nroot = "/srv/a"\n')
    found = said(sites={**sites, "remove": False})["problems"]
    line = f"memfis_sites: {gone}; if that is meant, set memfis_sites_remove: true"
    assert found == ([line] if gone else [])
    assert said(sites={**sites, "remove": True})["problems"] == []
