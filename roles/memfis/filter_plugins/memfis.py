"""memfis_sites as an administrator writes them, made complete or refused with every reason."""

import base64
import json
import re

# sun_path has 108 bytes with its NUL (unix(7)): "/run/memfis-origin/", the name, ".sock".
_LONGEST_NAME = 107 - len("/run/memfis-origin/.sock")


def site_settings(sites, defaults):
    """Return `sites` with every key of the table in docs/architecture.md present.

    `defaults` has listen, tls_listen, max_page, header and store_address. The role's own keys
    (`src`) stay, as an empty string where they are not given.
    """
    complete = []
    for site in sites:
        name = site.get("name") or site["server_names"][0]
        tls = site.get("tls") or None
        if tls:
            tls = {"listen": defaults["tls_listen"], "redirect": True} | tls
        complete.append(
            {
                "name": name,
                "listen": defaults["listen"],
                "index": ["index.html"],
                "exclude": [],
                "default_type": None,
                "charset": None,
                "autoindex": False,
                "error_pages": [],
                "headers": {},
                "expires": [],
                "max_page": defaults["max_page"],
                "header": defaults["header"],
                "store_address": defaults["store_address"],
                "origin_socket": f"/run/memfis-origin/{name}.sock",
                "extra": "",
                "src": "",
            }
            | {key: value for key, value in site.items() if value is not None}
            | {"name": name, "tls": tls}
        )
    return complete


def site_problems(sites):
    """Return one line for every mistake in `sites` that types alone do not show."""
    problems = []
    seen = {}
    for number, site in enumerate(sites):
        where = f"memfis_sites[{number}]"
        if not site.get("server_names"):
            problems.append(f"{where}.server_names: at least one name is needed")
            continue
        name = site.get("name") or site["server_names"][0]
        if not re.fullmatch(r"[a-z0-9.-]+", name) or name.startswith("."):
            problems.append(
                f"{where}.name: {name!r} is used in keys and file names and may have only a-z, "
                "0-9, '.' and '-'; by default it is the first server name"
            )
        elif len(name) > _LONGEST_NAME:
            problems.append(f"{where}.name: {name!r} is longer than {_LONGEST_NAME} characters")
        if name in seen:
            problems.append(
                f"{where}.name: {name!r} is also the name of memfis_sites[{seen[name]}]"
            )
        seen.setdefault(name, number)
        for key in ("root", "origin_socket"):
            path = site.get(key)
            if path is None:
                continue
            if not path.startswith("/") or path.rstrip("/") == "" or ".." in path.split("/"):
                problems.append(f"{where}.{key}: {path!r} is not an absolute path below /")
        for key in ("server_names", "listen", "index"):
            for value in site.get(key) or []:
                if not value or re.search(r"[;{}\"'\\\n]", value):
                    problems.append(f"{where}.{key}: {value!r} has characters nginx would misread")
                elif key == "index" and "/" in value:
                    problems.append(f"{where}.index: {value!r} is a path; only names can be mapped")
        address = site.get("store_address")
        if address is not None and not re.fullmatch(r"unix:/\S+|\S+:\d+", address):
            problems.append(f"{where}.store_address: {address!r} is not unix:PATH or HOST:PORT")
    return problems


def store_url(address):
    """Return nginx's `address` of a store (unix:PATH or HOST:PORT) as the agent writes it."""
    return "memcached://" + address.removeprefix("unix:")


def gone(listed, packed):
    """Return what the list of the last run has and `packed` has not, as files and directories.

    `listed` are results of slurp, `packed` results of pack_site.py, both with their site as `item`.
    Deepest names first, so that a directory is empty when its turn comes.
    """
    current = {result["item"]["name"]: set(json.loads(result["stdout"])) for result in packed}
    found = []
    for result in listed:
        earlier = set(json.loads(base64.b64decode(result["content"])))
        names = sorted(earlier - current[result["item"]["name"]], reverse=True)
        found.append(
            {
                "item": result["item"],
                "files": [name for name in names if not name.endswith("/")],
                "directories": [name for name in names if name.endswith("/")],
            }
        )
    return found


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Return the filters by name."""
        return {
            "memfis_site_settings": site_settings,
            "memfis_site_problems": site_problems,
            "memfis_store_url": store_url,
            "memfis_gone": gone,
        }
