"""Say what of a host does not go with the settings, before anything is changed on it.

host_problems.py WANTED: a JSON document, most of it made by agent/memfis/settings/needs.py. Prints
one with `problems`, for which the play ends, and `remarks`: a line for each.
"""

import contextlib
import errno
import grp
import json
import os
import pwd
import re
import socket
import ssl
import sys
import tomllib
from pathlib import Path

SHOWN = 5
"""Names of sites that a line has at most."""

LISTENS = "0A"
"""TCP_LISTEN in /proc/net/tcp (the kernel's include/net/tcp_states.h)."""

EXPIRED = 10
"""X509_V_ERR_CERT_HAS_EXPIRED (openssl's x509_vfy.h)."""


def main():
    """Print what was found."""
    wanted = json.loads(sys.argv[1])
    problems = [
        *removed(**wanted["sites"]),
        *too_little_memory(wanted["memory"]),
        *(line for each in wanted["listen"] for line in taken(**each)),
    ]
    # What is missing may be made by a task before the role, which check mode only talks of.
    missing = [line for each in wanted["accounts"] for line in no_account(**each)]
    remarks = []
    for each in wanted["certificates"]:
        files = list(missing_files(**each))
        missing += files
        if not files:
            unfit, old = of_certificate(**each)
            problems += unfit
            remarks += old
    if wanted["check_mode"]:
        remarks += missing
    else:
        problems += missing
    print(json.dumps({"problems": problems, "remarks": remarks}))


def removed(names, remove, available, settings):
    """Yield a line if the host would lose all its sites, or more than half, and none said so."""
    there = set()
    for path in Path(available).glob("memfis-*.conf"):
        there.update(re.findall(r"^# Managed by memfis: site (\S+)\. ", path.read_text(), re.M)[:1])
    if Path(settings).exists():
        try:
            known = tomllib.loads(Path(settings).read_text())
        except ValueError:  # whatever it was, the play writes it anew
            known = {}
        there.update(site["name"] for site in known.get("sites", ()))
    gone = sorted(there.difference(names))
    if gone and not remove and (not names or 2 * len(gone) > len(there)):
        shown = ", ".join(gone[:SHOWN]) + (", …" if len(gone) > SHOWN else "")
        yield (
            f"memfis_sites: {len(gone)} of the {len(there)} sites of this host would be taken away"
            f" ({shown}); if that is meant, set memfis_sites_remove: true"
        )


def too_little_memory(store):
    """Yield a line if `store`, in MiB, is more than the host has, or its container may have."""
    total = int(re.search(r"^MemTotal: *(\d+) kB", Path("/proc/meminfo").read_text(), re.M)[1])
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (most := limit.read_text().strip()).isdigit():
        total = min(total, int(most) // 1024)
    if store > total // 1024:
        yield f"memfis_store_memory: {store}: this host has {total // 1024} MiB of memory in all"


def no_account(at, kind, name):
    """Yield a line if the host has no such user, or group."""
    look = {"user": pwd.getpwnam, "group": grp.getgrnam}[kind]
    try:
        look(name)
    except KeyError:
        yield f"{at}: {name!r}: this host has no such {kind}"


def missing_files(at, certificate, key):
    """Yield a line for each of the two files that is not there."""
    for name, path in (("certificate", certificate), ("certificate_key", key)):
        if not Path(path).is_file():
            yield f"{at}.{name}: {path!r}: there is no such file on this host"


class NeedsPasswordError(Exception):
    """nginx may be told the password of a key, and says itself if it is not."""


def ask():
    """Stand in the place of a terminal, at which OpenSSL would ask."""
    raise NeedsPasswordError


def of_certificate(at, certificate, key):
    """Return what is wrong with a certificate and its key, and what is to be said of it."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.set_ciphers("ALL:@SECLEVEL=0")  # how weak a key may be is nginx's to say
    try:
        server.load_cert_chain(certificate, key, ask)
    except NeedsPasswordError:
        return [], []
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return [f"{at}.certificate_key: {key!r}: is not the key of {certificate}"], []
        said = (
            f"cannot be used ({error.reason})"
            if error.reason
            else "are no certificate and key in PEM"
        )
        return [f"{at}: {certificate!r} and {key!r}: {said}"], []
    except OSError as error:
        return [f"{at}: {certificate!r} and {key!r}: cannot be read: {error.strerror}"], []
    if verified(server, certificate) == EXPIRED:
        return [], [f"{at}.certificate: {certificate!r}: has expired"]
    return [], []


def verified(server, certificate):
    """Return OpenSSL's code of what is wrong with the certificate itself (0: nothing).

    A handshake in memory: with the public interface, there is no other way to its dates.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.check_hostname = False
    client.load_verify_locations(certificate)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)]
    for side in (0, 1, 0):
        try:
            sides[side].do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as error:
            return error.verify_code
    return 0


def taken(at, address):
    """Yield a line if nginx could not listen at `address`, as its `listen` has it."""
    words = address.split()
    if words[0].startswith("unix:"):
        return
    host, _, port = words[0].rpartition(":") if not words[0].endswith("]") else (words[0], "", "80")
    if not port.isdigit():
        host, port = port, "80"
    host = "" if host in ("", "*") else host
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        found = socket.getaddrinfo(
            host.strip("[]") or None, int(port), family, socket.SOCK_STREAM, 0, socket.AI_PASSIVE
        )
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                tried.setsockopt(
                    socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, "ipv6only=off" not in words
                )
            tried.bind(found[0][4])
    except socket.gaierror as error:
        yield f"{at}: {address!r}: {host} is no address of this host: {error.strerror}"
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            if error.errno != errno.EACCES:  # who is not root does not learn it
                yield f"{at}: {address!r}: this host cannot listen there: {error.strerror}"
            return
        holders = [holder(inode) for inode in listeners(int(port))]
        if not any(name == "nginx" for name, _ in holders):
            who = " and ".join(f"{name} ({which})" for name, which in holders if name)
            yield (
                f"{at}: {address!r}: {who or 'another program'} listens there; stop it, or let the"
                " site listen elsewhere"
            )


def listeners(port):
    """Yield the inodes of the sockets that listen at `port`."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == LISTENS and int(words[1].rpartition(":")[2], 16) == port:
                yield words[9]


def holder(inode):
    """Return the name of a program that has the socket `inode`, and its process and unit."""
    for process in filter(str.isdigit, os.listdir("/proc")):
        directory = Path("/proc", process)
        try:
            if f"socket:[{inode}]" not in opened(directory / "fd"):
                continue
            name = (directory / "comm").read_text().strip()
            unit = re.search(r"/([^/]+\.service)(?:/|$)", (directory / "cgroup").read_text(), re.M)
        except OSError:  # it has ended meanwhile
            continue
        return name, f"process {process}" + (f", {unit[1]}" if unit else "")
    return "", ""


def opened(directory):
    """Yield what the descriptors of a process lead to, from its `directory` of them in /proc."""
    for descriptor in os.scandir(directory):
        with contextlib.suppress(FileNotFoundError):  # it is closed meanwhile
            yield os.readlink(descriptor)


if __name__ == "__main__":
    main()
