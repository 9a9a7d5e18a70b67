"""memfis_sites as an administrator writes them, made complete or refused with every reason."""

import base64
import json
import re

# sun_path has 108 bytes with its NUL (unix(7)): "/run/memfis-origin/", the name, ".sock".
_LONGEST_NAME = 107 - len("/run/memfis-origin/.sock")


def site_settings(sites, defaults):
    """Return `sites` with every key of the table in docs/architecture.md present.

    None in compress_* leaves it to the agent.

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
                "source": "root",
                "root": "",
                "index": ["index.html"],
                "exclude": [],
                "default_type": None,
                "charset": None,
                "autoindex": False,
                "error_pages": [],
                "headers": {},
                "expires": [],
                "max_page": defaults["max_page"],
                "compress_level": None,
                "compress_types": None,
                "compress_min_size": None,
                "compress_min_saving": None,
                "header": defaults["header"],
                "store_address": defaults["store_address"],
                "origin_socket": f"/run/memfis-origin/{name}.sock",
                "extra": "",
                "php": None,
                "src": "",
            }
            | {key: value for key, value in site.items() if value is not None}
            | {"name": name, "tls": tls}
        )
    return complete


# nginx reads its configuration word by word, and some of what it reads wrongly it does not refuse:
# a bad `expires` is ignored in silence. What is quoted in the template (root, header values, error
# pages) may have any character.
_LISTEN = r"(?!.*\b(?:ssl|http2|quic)\b)[A-Za-z0-9.:\[\]*_/= -]+"
_WORDS = {
    "server_names": (r"""[^\s;{}"'\\]+""", "a server name"),
    "listen": (_LISTEN, "parameters of nginx's listen, without ssl and http2"),
    "index": (
        r"[A-Za-z0-9_][A-Za-z0-9._~-]*",
        "a file name of letters, digits, '.', '_', '~', '-'",
    ),
}
_SCALARS = {
    "root": (r"/(?!/*\Z)(?!(?:.*/)?\.\.(?:/|\Z))[^\0]*", "an absolute path below /"),
    "origin_socket": (r"/[^\0\s]{1,106}", "an absolute path of at most 107 bytes"),
    "default_type": (r"[A-Za-z0-9.+_-]+/[A-Za-z0-9.+_-]+", "a media type"),
    "charset": (r"[A-Za-z0-9._-]+", "a charset"),
    "header": (r"[A-Za-z0-9-]*", "the name of a header, or empty"),
    "store_address": (r"unix:/\S+|[^\s/]\S*:\d+", "unix:PATH or HOST:PORT"),
}
_NUMBERS = {
    "compress_level": (12, "0 (do not compress) to 12"),
    "compress_min_size": (2**63 - 1, "a number of bytes"),
    "compress_min_saving": (100, "a number of per cent, 0 to 100"),
}
_TIME = r"off|epoch|max|[+-]?\d+(?:ms|[smhdwMy])?(?:\d+(?:ms|[smhdwMy]))*|@\d+[hms]?(?:\d+[ms])*"
_OWN_HEADERS = {
    *("content-type", "content-length", "content-encoding", "transfer-encoding", "connection"),
    *("date", "server", "location", "etag", "last-modified", "accept-ranges", "vary"),
}


def site_problems(sites):
    """Return one line for every mistake in `sites` that types alone do not show."""
    problems = []
    seen = {}
    for number, site in enumerate(sites):
        where = f"memfis_sites[{number}]"
        found = [
            *_misnamed(site),
            *_misplaced(site),
            *_misread(site),
            *_mistaken_rules(site),
        ]
        name = site.get("name") or (site.get("server_names") or [""])[0]
        if name in seen:
            found.append(f"name: {name!r} is also the name of memfis_sites[{seen[name]}]")
        seen.setdefault(name, number)
        problems += [f"{where}.{problem}" for problem in found]
    return problems


def _misnamed(site):
    """Yield what is wrong with the site's names."""
    if not site.get("server_names"):
        yield "server_names: at least one name is needed"
        return
    name = site.get("name") or site["server_names"][0]
    if not re.fullmatch(r"[a-z0-9-][a-z0-9.-]*", name):
        yield (
            f"name: {name!r} is used in keys and file names and may have only a-z, 0-9, '.' and "
            "'-'; by default it is the first server name"
        )
    elif len(name) > _LONGEST_NAME:
        yield f"name: {name!r} is longer than {_LONGEST_NAME} characters"


# What only a disk can give.
_DISK = ("root", "src", "autoindex", "origin_socket")


def _misplaced(site):
    """Yield what does not go with the site's source."""
    if site.get("source", "root") != "store":
        if not site.get("root"):
            yield "root: a site needs a web root, or 'source: store'"
        return
    for key in _DISK:
        if site.get(key):
            yield f"{key}: a site whose source is the store has no disk behind it"


def _misread(site):
    """Yield the values that nginx would read as something else."""
    for key, (pattern, expected) in _WORDS.items():
        for value in site.get(key) or []:
            if not re.fullmatch(pattern, str(value)):
                yield f"{key}: {value!r}: expected {expected}"
    for key, (pattern, expected) in _SCALARS.items():
        value = site.get(key)
        if value is not None and not re.fullmatch(pattern, str(value), re.DOTALL):
            yield f"{key}: {value!r}: expected {expected}"
    if site.get("source") not in (None, "root", "store"):
        yield f"source: {site['source']!r}: expected root or store"
    tls = site.get("tls") or {}
    for key, value in (("autoindex", site.get("autoindex")), ("tls.redirect", tls.get("redirect"))):
        if value is not None and not isinstance(value, bool):
            yield f"{key}: {value!r}: expected true or false"
    for address in tls.get("listen") or []:
        if not re.fullmatch(_LISTEN, str(address)):
            yield f"tls.listen: {address!r}: expected {_WORDS['listen'][1]}"
    for key in ("certificate", "certificate_key"):
        if tls and not re.fullmatch(r"/[^\0$]+", str(tls.get(key, ""))):
            yield f"tls.{key}: {tls.get(key)!r}: expected an absolute path without '$'"
    if site.get("max_page") is not None and int(site["max_page"]) < 1:
        yield f"max_page: {site['max_page']!r}: expected a number of bytes"
    for key, (highest, expected) in _NUMBERS.items():
        value = site.get(key)
        number = "" if value is None or isinstance(value, bool) else str(value)
        if value is not None and not (re.fullmatch(r"[0-9]+", number) and int(number) <= highest):
            yield f"{key}: {value!r}: expected {expected}"
    for value in site.get("compress_types") or []:
        if not isinstance(value, str) or not re.fullmatch(r"[^./]*", value):
            yield f"compress_types: {value!r}: expected a file name extension, without the dot"


def _mistaken_rules(site):
    """Yield what is wrong with headers, expiry and error pages."""
    for name, value in (site.get("headers") or {}).items():
        own = (site.get("header") or "X-Memfis").lower()
        if not re.fullmatch(r"[A-Za-z0-9-]+", name) or name.lower() in _OWN_HEADERS | {own}:
            yield f"headers: {name!r} is not a header that a site may set"
        if re.search(r"[\r\n\0]", str(value)) or len(str(value)) > 4000:
            yield f"headers.{name}: expected one line of at most 4000 characters"
    for rule in site.get("expires") or []:
        if not re.fullmatch(r"[A-Za-z0-9.+_/-]+", str(rule.get("type", ""))):
            yield f"expires: type {rule.get('type')!r}: expected a media type or its beginning"
        if not re.fullmatch(_TIME, str(rule.get("expires", ""))):
            yield (
                f"expires: {rule.get('expires')!r}: expected a time as nginx has it (30d, 1h, "
                "epoch, max, off)"
            )
    for page in site.get("error_pages") or []:
        for code in page.get("codes") or [0]:
            if not 400 <= int(code) <= 599 or int(code) in (418, 499):
                yield f"error_pages: code {code!r}: expected 400 to 599, but for 418 and 499"
        uri = str(page.get("uri", ""))
        if not re.fullmatch(r"/[^?\x00-\x1f\x7f]*[^?/\x00-\x1f\x7f]", uri):
            yield f"error_pages: uri {uri!r}: expected the path of a file, as /404.html"


def mount_settings(mounts):
    """Return `mounts` (memfis_mounts) with every key present."""
    defaults = {"read_only": False, "owner": "", "group": "", "mode": "", "options": []}
    return [
        defaults | {key: value for key, value in mount.items() if value is not None}
        for mount in mounts
    ]


def mount_problems(mounts, sites):
    """Return one line for every mistake in `mounts` (memfis_mounts); `sites` have none."""
    sources = {
        site.get("name") or site["server_names"][0]: site.get("source") or "root" for site in sites
    }
    roots = [site["root"].rstrip("/") + "/" for site in sites if site.get("root")]
    problems = []
    seen = {"site": {}, "path": {}}
    for number, mount in enumerate(mounts):
        found = []
        name, path = mount.get("site"), str(mount.get("path", "")).rstrip("/")
        if name not in sources:
            found.append(f"site: {name!r} is not the name of one of memfis_sites")
        elif sources[name] == "root" and mount.get("read_only") is not True:
            found.append(
                f"read_only: the agent keeps {name} equal to its web root, so its mount is to be "
                "looked at only: set it to true"
            )
        if not re.fullmatch(r"/[A-Za-z0-9._/@+,=~-]+", path) or ".." in path.split("/"):
            found.append(f"path: {path!r}: expected an absolute path without spaces")
        elif any(f"{path}/".startswith(root) for root in roots):
            found.append(f"path: {path!r} is in a web root")
        for key, value in (("site", name), ("path", path)):
            if value in seen[key]:
                found.append(f"{key}: {value!r} is also that of memfis_mounts[{seen[key][value]}]")
            seen[key].setdefault(value, number)
        for key in ("owner", "group"):
            if not re.fullmatch(r"[A-Za-z0-9_.-]*", str(mount.get(key) or "")):
                found.append(f"{key}: {mount[key]!r}: expected a name")
        if not re.fullmatch(r"(?:0?[0-7]{3})?", str(mount.get("mode") or "")):
            found.append(f"mode: {mount['mode']!r}: expected three digits, in quotes")
        for option in mount.get("options") or []:
            if not re.fullmatch(r"[a-z0-9_=.-]+", str(option)):
                found.append(f"options: {option!r}: expected an option of mount(8)")
        problems += [f"memfis_mounts[{number}].{problem}" for problem in found]
    return problems


def store_url(address):
    """Return nginx's `address` of a store (unix:PATH or HOST:PORT) as the agent writes it."""
    return "memcached://" + address.removeprefix("unix:")


def store_addresses(hosts):
    """Return the addresses of Couchbase's nodes; `hosts` are their variables."""
    return [
        host.get("memfis_couchbase_address")
        or host.get("ansible_host")
        or {"localhost": "127.0.0.1"}.get(host["inventory_hostname"], host["inventory_hostname"])
        for host in hosts
    ]


# What the role writes itself.
_GATEWAY_OWN = ("connection", "bucket", "user", "password_file", "certificate", "listen")


def couchbase_problems(given):
    """Return one line for every mistake in what is said of Couchbase."""
    found = []
    if not re.fullmatch(r"couchbases?://[^\s/@]+(?:\?\S*)?", given["connection"]):
        found.append(
            f"memfis_couchbase_connection: {given['connection']!r}: expected couchbase://HOST,HOST "
            "or couchbases://HOST; by default it is made of the hosts of the group memfis_store"
        )
    if not given["password"]:
        found.append("memfis_couchbase_password: a password is needed; keep it in a vault")
    if not given["user"]:
        found.append("memfis_couchbase_user: a user is needed")
    if not re.fullmatch(r"[A-Za-z0-9_.%-]{1,100}", given["bucket"]):
        found.append(f"memfis_couchbase_bucket: {given['bucket']!r}: expected a bucket's name")
    if given["certificate"] and not given["connection"].startswith("couchbases://"):
        found.append("memfis_couchbase_certificate: only couchbases:// is TLS")
    if given["embedded"]:
        found.append("memfis_store_embedded: must be false with memfis_store: couchbase")
    if given["publisher"] not in given["web"]:
        found.append(
            f"memfis_publisher: {given['publisher']!r} is not a host of memfis_web, so nobody "
            "would fill the bucket"
        )
    found += [
        f"memfis_gateway.{key}: set by a variable of its own"
        for key in given["gateway"]
        if key in _GATEWAY_OWN
    ]
    return found


def with_extra(requirement, extra):
    """Return what pip is to install with an `extra` of it; an empty one changes nothing.

    `requirement` is a wheel's path or URL, or a name with or without a version.
    """
    if not extra:
        return requirement
    if "://" in requirement and "@" not in requirement.partition("://")[0]:
        return f"memfis[{extra}] @ {requirement}"
    if "/" in requirement.partition("@")[0]:
        return f"{requirement}[{extra}]"
    name = re.match(r"[A-Za-z0-9._-]*[A-Za-z0-9]", requirement)
    return f"{name[0]}[{extra}]{requirement[name.end() :]}" if name else requirement


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


def doctor_advice(answer):
    """Return a line for every finding of `memfis doctor --json`, and the sysctls to raise.

    `answer` is the command's result. What the sysctls mend is no finding.
    """
    try:
        told = json.loads(answer.get("stdout") or "")
    except ValueError:
        said = answer.get("stderr") or answer.get("msg") or "memfis doctor said nothing"
        return {"findings": [said], "sysctls": {}}
    findings = []
    for finding in told["findings"]:
        if finding["status"] == "ok" or finding["check"] == "inotify":
            continue
        line = "{subject}: {check}: {message}".format(**finding)
        if finding.get("examples"):
            line += f" ({', '.join(finding['examples'])})"
        if finding.get("advice"):
            line += f" -> {finding['advice']}"
        findings.append(line)
    return {"findings": findings, "sysctls": told["inotify"]["advised"]}


def not_raised(results):
    """Return a line for every sysctl that could not be written, with tee's reason.

    `results` are those of a loop over the sysctls of `doctor_advice`.
    """
    return [
        f"{result['item']['key']} cannot be raised to {result['item']['value']}:"
        f" {result['stderr'].rpartition(': ')[2].strip()}; until the host of a container sets it,"
        " changes in the sites are found late"
        for result in results
        if result.get("rc")
    ]


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Return the filters by name."""
        return {
            "memfis_site_settings": site_settings,
            "memfis_site_problems": site_problems,
            "memfis_mount_problems": mount_problems,
            "memfis_mount_settings": mount_settings,
            "memfis_store_url": store_url,
            "memfis_store_addresses": store_addresses,
            "memfis_couchbase_problems": couchbase_problems,
            "memfis_with_extra": with_extra,
            "memfis_gone": gone,
            "memfis_doctor_advice": doctor_advice,
            "memfis_not_raised": not_raised,
        }
