"""What the settings need of a host: files/host_problems.py of the role looks there for it.

Only the standard library: the role's filters use this too (docs/settings.md).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any


def needs_of_host(
    sites: Sequence[Mapping[str, Any]],
    mounts: Sequence[Mapping[str, Any]],
    makes: Collection[str],
) -> dict[str, Any]:
    """Return certificates, addresses and accounts that complete `sites` and `mounts` need.

    `makes`: users that the role makes, or the packages that it installs, each with its group.
    """
    return {
        "certificates": [
            {
                "at": f"memfis_sites[{number}].tls",
                "certificate": site["tls"]["certificate"],
                "key": site["tls"]["certificate_key"],
            }
            for number, site in enumerate(sites)
            if site["tls"]
        ],
        "listen": [{"at": at, "address": address} for address, at in _addresses(sites).items()],
        "accounts": [
            {"at": f"memfis_mounts[{number}].{setting}", "kind": kind, "name": mount[setting]}
            for number, mount in enumerate(mounts)
            for setting, kind in (("owner", "user"), ("group", "group"))
            if mount[setting] and mount[setting] not in makes and not mount[setting].isdigit()
        ],
    }


def _addresses(sites: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return all parameters of nginx's `listen`, and the setting that has each first."""
    found: dict[str, str] = {}
    for number, site in enumerate(sites):
        for address in site["listen"]:
            found.setdefault(str(address), f"memfis_sites[{number}].listen")
        for address in site["tls"]["listen"] if site["tls"] else ():
            found.setdefault(str(address), f"memfis_sites[{number}].tls.listen")
    return found
