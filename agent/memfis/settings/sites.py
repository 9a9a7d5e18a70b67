"""What no two sites of a list may have: a name, a server name or the default at one address."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from memfis.settings.site import site_name


def names_twice(sites: Sequence[Mapping[str, Any]], where: str) -> Iterator[str]:
    """Yield a line for every site of the list `where` that has the name of an earlier one."""
    seen: dict[str, int] = {}
    for number, site in enumerate(sites):
        name = site_name(site)
        if name and seen.setdefault(name, number) != number:
            yield (
                f"{where}[{number}].name: {name!r}: is also the name of {where}[{seen[name]}],"
                " another site"
            )


def server_names_twice(
    sites: Sequence[Mapping[str, Any]], listen: Sequence[str], tls_listen: Sequence[str], where: str
) -> Iterator[str]:
    """Yield a line for every server name that an earlier site of the list `where` has, too.

    Of two servers with one name at one address, nginx only warns, and never asks the second.
    `listen` and `tls_listen` are those of a site that says nothing.
    """
    seen: dict[tuple[str, str], int] = {}
    for number, site in enumerate(sites):
        told = set()
        for address in _listens_at(site, listen, tls_listen):
            for name in site["server_names"]:
                first = seen.setdefault((address, name.lower()), number)
                if first != number and name not in told:
                    told.add(name)
                    yield (
                        f"{where}[{number}].server_names: {name!r}: is a name of"
                        f" {where}[{first}] at {address}, too; give it to one of them"
                    )


def defaults_twice(
    sites: Sequence[Mapping[str, Any]], listen: Sequence[str], tls_listen: Sequence[str], where: str
) -> Iterator[str]:
    """Yield a line for every site of the list `where` that another one is the default beside.

    `listen` and `tls_listen` are those of a site that says nothing.
    """
    seen: dict[str, int] = {}
    for number, site in enumerate(sites):
        if not site.get("default_server"):
            continue
        for address in _listens_at(site, listen, tls_listen):
            if seen.setdefault(address, number) != number:
                yield (
                    f"{where}[{number}].default_server: {where}[{seen[address]}] is the default"
                    f" at {address} already"
                )
                break


def _listens_at(
    site: Mapping[str, Any], listen: Sequence[str], tls_listen: Sequence[str]
) -> list[str]:
    """Return the addresses of `site`; a port at all addresses is the port alone."""
    tls = site.get("tls")
    own = site.get("listen")
    lines = [*(listen if own is None else own)]
    if isinstance(tls, Mapping):
        own = tls.get("listen")
        lines += [*(tls_listen if own is None else own)]
    addresses = [str(line).split()[0] for line in lines]
    return list(dict.fromkeys(re.sub(r"^(\*|0\.0\.0\.0):", "", each) for each in addresses))
