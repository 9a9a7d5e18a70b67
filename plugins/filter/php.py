"""The `php` of memfis_sites as an administrator writes it, made complete or refused."""

import ipaddress
import re

UPLOADS = [
    *("/wp-content/uploads/", "/wp-content/cache/", "/sites/default/files/", "/data/", "/uploads/"),
    *("/images/", "/media/", "/files/", "/fileadmin/", "/storage/"),
]
"""Where common applications put what their visitors send: no script runs below."""

COOKIES = [
    # Sessions: of PHP itself and of what is made with Symfony, Laravel, Joomla (32 hex digits),
    # Drupal, MediaWiki, TYPO3, and whatever else has that in its name.
    *("[^=;]*(?i:sess|token|auth|login|logged)[^=;]*", "[0-9a-f]{32}", "REMEMBERME"),
    *("[^=;]*User(?:ID|Name)", "[fb]e_typo_user", "phpbb3?_[^=;]*", "XSRF-[^=;]*"),
    # WordPress and its shops, comments, pages with a password.
    *("wordpress_[^=;]*", "wp-[^=;]*", "wp_[^=;]*", "comment_author_[^=;]*"),
    *("woocommerce_[^=;]*", "PrestaShop-[^=;]*", "cart[^=;]*", "edd_[^=;]*"),
    # DokuWiki: its session, who is logged in, what he has set.
    *("DokuWiki", "DW[0-9a-f]+", "DOKU_PREFS"),
]
"""Names, as regular expressions, of the cookies of common applications."""

IGNORED_ARGUMENTS = [
    *("utm_*", "fbclid", "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "msclkid", "yclid"),
    *("twclid", "ttclid", "li_fat_id", "igshid", "mc_cid", "mc_eid", "_ga", "_gl", "_hsenc"),
    *("_hsmi", "mtm_*", "pk_*", "srsltid"),
]
"""Arguments that campaigns add, and no application reads."""

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])"


def php_settings(sites, defaults):
    """Return `sites` with `php` complete where there is one, and what is usual for such sites.

    `defaults` has backends, hints and purge (paths, or none), microcache (a directory, below which
    each site has its own), and access_log.
    """
    return [_complete(site, defaults) if site.get("php") is not None else site for site in sites]


def _complete(site, defaults):
    """Return `site` with every key of the table of PHP in docs/architecture.md."""
    name = site.get("name") or site["server_names"][0]
    php = {
        "backends": defaults["backends"],
        "front_controller": "/index.php",
        "uploads": UPLOADS,
        "cookies": COOKIES,
        "ignored_arguments": IGNORED_ARGUMENTS,
        "canonical": _canonical(site),
        "lifetime": 300,
        "stale_if_error": 86400,
        "render": [],
        "sitemaps": [],
        "concurrency": 4,
        "timeout": 30,
        "max_pages": 100000,
        "purge_on_change": [],
        "purge_from": ["127.0.0.1", "::1"],
        "hints": defaults["hints"],
        "purge": defaults["purge"],
        "microcache": f"{defaults['microcache']}/{name}",
        "access_log": defaults["access_log"],
    } | {key: value for key, value in site["php"].items() if value is not None}
    usual = {"index": ["index.php", "index.html"], "charset": "utf-8"}
    given = {key: value for key, value in site.items() if value is not None}
    return usual | given | {"php": php}


def _canonical(site):
    """Return what pages are rendered for: the first server name, by TLS where there is TLS."""
    tls = site.get("tls")
    scheme, usual = ("https", "443") if tls else ("http", "80")
    listen = (tls or site).get("listen") or [usual]
    port = str(listen[0]).split()[0].rpartition(":")[2]
    shown = f":{port}" if port.isdigit() and port != usual else ""
    return f"{scheme}://{site['server_names'][0]}{shown}"


_LISTS = {
    "backends": (r"""unix:/[^\s"'\\;{}$]+|""" + _HOST + r":\d{1,5}", "unix:PATH or HOST:PORT"),
    "uploads": (
        r"/[A-Za-z0-9._~+@,=-][A-Za-z0-9._~+@,=/-]*",
        "the beginning of a path, of letters, digits and ._~+@,=-",
    ),
    "ignored_arguments": (
        r"[A-Za-z0-9_.-]+\*?",
        "a name of letters, digits and _.-, with or without a * at its end",
    ),
    "render": (r"/[^\s?#]*", "the path of a URL"),
    "sitemaps": (r"/[^\s?#]*", "the path of a URL"),
}
_PATH = r"""/[^\s"'\\;:{}$]{1,106}|"""
_WORDS = {
    "front_controller": (
        r"/[A-Za-z0-9._~/-]*\.php(\?[A-Za-z0-9_.-]+=)?|",
        "the path of a script, with or without the argument that is to take the URL's, or empty",
    ),
    "hints": (_PATH, "an absolute path of at most 107 bytes, or empty"),
    "purge": (_PATH, "an absolute path of at most 107 bytes, or empty"),
    "microcache": (_PATH, "an absolute path of at most 107 bytes, or empty"),
    "access_log": (r"""/[^\s"'\\;{}$]+|""", "an absolute path, or empty"),
}
_YEAR = 366 * 86400
_NUMBERS = {
    "lifetime": (1, _YEAR),
    "stale_if_error": (0, _YEAR),
    "concurrency": (1, 256),
    "timeout": (1, 3600),
    "max_pages": (1, 2**31),
}


def php_problems(sites, own_pool):
    """Return one line for every mistake in `php`; `own_pool`: the host has the role's own."""
    problems = []
    for number, site in enumerate(sites):
        if site.get("php") is None or not site.get("server_names"):
            continue
        where = f"memfis_sites[{number}].php"
        if site.get("source") == "store":
            problems.append(f"{where}: a site whose source is the store has no disk behind it")
            continue
        problems += [f"{where}.{problem}" for problem in _problems(site, own_pool)]
    return problems


def _problems(site, own_pool):
    """Yield what is wrong with the table of one site."""
    php = site["php"]
    if not php.get("backends") and not own_pool:
        yield "backends: name php-fpm's sockets, or let the role install it (memfis_php: true)"
    for key, (pattern, expected) in _LISTS.items():
        for value in php.get(key) or []:
            if not re.fullmatch(pattern, str(value)):
                yield f"{key}: {value!r}: expected {expected}"
    for key, (pattern, expected) in _WORDS.items():
        value = php.get(key)
        if value is not None and not re.fullmatch(pattern, str(value)):
            yield f"{key}: {value!r}: expected {expected}"
    for key, (lowest, highest) in _NUMBERS.items():
        value = php.get(key)
        number = "" if value is None else str(value)
        if value is not None and not (number.isdecimal() and lowest <= int(number) <= highest):
            yield f"{key}: {value!r}: expected a number, {lowest} to {highest}"
    yield from _mistaken_cookies(php)
    for value in php.get("purge_from") or []:
        try:
            ipaddress.ip_network(str(value), strict=False)
        except ValueError:
            yield f"purge_from: {value!r}: expected an address or a network, as 10.0.0.0/8"
    given = php.get("canonical")
    canonical = given or _canonical(site)
    if not re.fullmatch(rf"https?://{_HOST}(?::\d{{1,5}})?", canonical):
        yield (
            f"canonical: {canonical!r}: expected https://HOST, with or without a port"
            + ("" if given else "; it has to be given, as the first server name is no host's")
        )


def _mistaken_cookies(php):
    """Yield the patterns that nginx would refuse, or take for something else."""
    for value in php.get("cookies") or []:
        try:
            found = re.compile(str(value))
        except re.error as error:
            yield f"cookies: {value!r}: {error}"
            continue
        if found.groups or re.search(r"\s", str(value)) or not value:
            yield f"cookies: {value!r}: expected a name, or a regular expression without captures"


def php_user_problems(user, others):
    """Return what is wrong with the user that PHP runs as; `others` are those of the services."""
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", user):
        return [f"memfis_php_user: {user!r}: expected the name of a user"]
    if user in others:
        return [
            f"memfis_php_user: {user!r} may use the store's socket, or is another service's: PHP"
            " needs a user of its own"
        ]
    return []


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Return the filters by name."""
        return {
            "memfis_php_settings": php_settings,
            "memfis_php_problems": php_problems,
            "memfis_php_user_problems": php_user_problems,
        }
