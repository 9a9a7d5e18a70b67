"""Settings of a site, as `memfis_sites` of the role has them; memfis.toml has a part of them."""

from collections.abc import Iterator, Mapping
from typing import Any

from memfis.layout import compression
from memfis.settings.declare import BY_AGENT, BY_NGINX, BY_PLAY, REQUIRED, Setting, Table
from memfis.settings.kinds import Choice, Flag, Integer, ListOf, Text
from memfis.settings.nginx_lines import hands_on, has_types
from memfis.settings.patterns import PATTERNS
from memfis.settings.php import CANONICAL, PHP, canonical_of
from memfis.settings.site_parts import (
    ABSOLUTE_PATH,
    AN_EXTENSION,
    ERROR_PAGE,
    EXPIRY,
    HEADERS,
    LISTEN,
    PROXIES,
    TLS,
    TYPES,
)

MAX_PAGE = 128 * 1024
"""Bytes of a page as stored: what nginx's memcached buffer takes whole (docs/architecture)."""

FROM_MEMORY = Choice(("lua", "memcached_pass", "off"), false="off")
"""What asks the store in nginx, and `off`: nothing does."""

DEFAULT_FROM_MEMORY = "memcached_pass"
"""What asks where nothing is said: every nginx has it."""

DELETE_GRACE = 15
"""Seconds: longer than most tools take to build a directory anew."""

SCRIPT_EXTENSIONS = (
    *("php", "php3", "php4", "php5", "php7", "php8", "phtml", "phar", "phps", "inc"),
)
"""Of files that PHP runs, or shows or includes: what distributions' servers hand to it."""

LONGEST_NAME = 107 - len("/run/memfis-origin/.sock")
"""sun_path has 108 bytes with its NUL (unix(7)): the origin's directory, the name, ".sock"."""


def site_name(site: Mapping[str, Any]) -> str:
    """Return the name of a site as somebody wrote it: given, or the first server name."""
    names = site.get("server_names")
    first = names[0] if isinstance(names, list | tuple) and names else ""
    return str(site.get("name") or first)


def in_memory(site: Mapping[str, Any]) -> bool:
    """Return whether the pages of a site as somebody wrote it are in memory."""
    return site.get("from_memory") not in ("off", False)


def runs_scripts(site: Mapping[str, Any]) -> bool:
    """Return whether scripts may be run for a site as somebody wrote it, unless it says so."""
    extra = site.get("extra")
    return isinstance(site.get("php"), Mapping) or (isinstance(extra, str) and hands_on(extra))


def _fits_together(site: Mapping[str, Any], where: str) -> Iterator[str]:
    """Yield what does not go together in a site."""
    name = site.get("name")
    first = site_name(site)
    if name is None and first and any(_NAME.problems(first, "", as_text=True)):
        yield (
            f"name: is needed, as the first server name, {first!r}, cannot stand in keys"
            " and file names; a-z, 0-9, '.' and '-' can"
        )
    yield from source_problems(site)
    header = site.get("header")
    own = (header if isinstance(header, str) and header else "X-Memfis").lower()
    headers = site.get("headers")
    for each in headers if isinstance(headers, Mapping) else ():
        if isinstance(each, str) and each.lower() == own:
            yield f"headers: {each!r}: memfis says it itself"
    extra, types = site.get("extra"), site.get("types")
    if isinstance(types, Mapping) and len({str(each).lower() for each in types}) < len(types):
        yield "types: an extension stands there twice; their case does not matter"
    if types and isinstance(extra, str) and has_types(extra):
        yield "types: 'extra' has types for the whole site; write them in one place"
    php, names = site.get("php"), site.get("server_names")
    if isinstance(php, Mapping) and site.get("runs_scripts") is False:
        yield "runs_scripts: False: a site with 'php' does"
    if isinstance(php, Mapping) and php.get("canonical") is None and isinstance(names, list):
        canonical = canonical_of(site) if names else ""
        for line in CANONICAL.problems(canonical, "php.canonical", as_text=True) if names else ():
            yield f"{line}; it has to be given, as the first server name is no host's"


def source_problems(site: Mapping[str, Any]) -> Iterator[str]:
    """Yield what does not go with the source of a site, or is missing for it."""
    source = site.get("source") or "root"
    if source == "root" and site.get("root") is None:
        yield "root: is missing: a site needs a web root, or source: store"
    if source != "store":
        return
    for key in ("root", "src", "follow", "autoindex", "origin_socket"):
        if site.get(key):
            yield f"{key}: a site whose source is the store has no disk behind it"
    if not in_memory(site):
        yield "from_memory: 'off': a site whose source is the store is nowhere else"
    if site.get("php") is not None:
        yield "php: a site whose source is the store runs no PHP"


_NAME = Text(
    f"at most {LONGEST_NAME} of a-z, 0-9, '.' and '-', of which the first is no '.'",
    rf"[a-z0-9-][a-z0-9.-]{{0,{LONGEST_NAME - 1}}}",
)

_SERVER_NAME = Text("a server name", r"""[^\s;{}"'\\]+""")

_BELOW_TOP = Text(
    "an absolute path below /", r"/(?!(?:\.?/)*\.?\Z)(?!(?:.*/)?\.\.(?:/|\Z))[^\0]*", type="path"
)

SITE = Table(
    "a table with server_names, and root or source: store",
    (
        Setting(
            "name",
            _NAME,
            "the site's name in every key and in file names: `a-z`, `0-9`, `.` and `-`",
            usually="first server name",
            read_by=BY_NGINX | BY_AGENT,
            in_toml=Setting(
                "name",
                _NAME,
                "the site's name in every key: `a-z`, `0-9`, `.` and `-`",
                REQUIRED,
            ),
        ),
        Setting(
            "server_names",
            ListOf(_SERVER_NAME, "a list of server names", least=1),
            "names that it answers to, as nginx's `server_name` has them",
            REQUIRED,
            read_by=BY_NGINX | BY_AGENT,
            in_toml=Setting(
                "server_names",
                ListOf(_SERVER_NAME, "a list of server names"),
                "names that it answers to, as nginx's `server_name` has them: by them the host of a"
                " URL says which site is meant",
                (),
                usually="the site's name alone",
            ),
        ),
        Setting(
            "listen",
            LISTEN,
            "parameters of nginx's `listen`",
            usually="`[80]`, and `[::]:80` where the host has IPv6",
            read_by=BY_NGINX,
        ),
        Setting(
            "tls",
            TLS,
            "HTTPS: `certificate`, `certificate_key` (paths on the host), `listen` (443),"
            " `redirect` (plain HTTP to HTTPS, true)",
            read_by=BY_NGINX,
        ),
        Setting(
            "default_server",
            Flag(),
            "answer also for hosts that no site names, at all that it listens to; `default_server`"
            " in `listen` says so of one address. A site with `php` that does neither answers them"
            " 421 where PHP would be asked",
            False,
            read_by=BY_NGINX,
            since="0.2.0",
        ),
        Setting(
            "proxies",
            PROXIES,
            "addresses and networks of load balancers and proxies whose `X-Forwarded-For`, `-Proto`"
            " and `-Host` count; from others these are taken off then",
            [],
            usually="`memfis_proxies`",
            read_by=BY_NGINX,
            since="0.2.0",
        ),
        Setting(
            "source",
            Choice(("root", "store")),
            "where the pages come from: the web root, or the `store` alone, which a mount fills",
            "root",
            read_by=BY_NGINX | BY_AGENT,
        ),
        Setting(
            "from_memory",
            FROM_MEMORY,
            "what takes pages from memory in nginx: `lua`, its Lua module, or `memcached_pass`."
            " `off`: nginx answers from the disk, and PHP, alone, without `header`, and the site's"
            " pages leave memory",
            DEFAULT_FROM_MEMORY,
            usually="`memfis_from_memory`",
            read_by=BY_NGINX | BY_AGENT,
            since="0.2.0",
        ),
        Setting(
            "root",
            _BELOW_TOP,
            "the web root, unless `source` is `store`; made when missing, otherwise left as it is",
            usually="required, but for `source: store`",
            read_by=BY_NGINX | BY_AGENT,
            in_toml=Setting("root", ABSOLUTE_PATH, "the web root, unless `source` is `store`"),
        ),
        Setting(
            "follow",
            ListOf(_BELOW_TOP, "a list of absolute paths below /"),
            "directories outside the web root that links in it may lead into, as uploads that"
            " deploys share; watched as the root is. Without it nothing outside is published from"
            " memory",
            [],
            read_by=BY_AGENT,
            since="0.2.0",
        ),
        Setting(
            "src",
            Text("a path", r"[^\0]+", type="path"),
            "a directory on the controller whose content is copied into the web root, readable by"
            " all; what an earlier run copied and it has no more is removed",
            read_by=BY_PLAY,
        ),
        Setting(
            "index",
            ListOf(
                Text(
                    "a file name of letters, digits, '.', '_', '~', '-'",
                    r"[A-Za-z0-9_][A-Za-z0-9._~-]*",
                ),
                "a list of file names",
            ),
            "index names in order; the first, if it ends in `.html` or `.htm`, is stored under its"
            " directory's URL",
            ["index.html"],
            read_by=BY_NGINX | BY_AGENT,
        ),
        Setting(
            "exclude",
            PATTERNS,
            "gitignore patterns of what is not kept in memory, besides what never is; disk still"
            " serves it (`source: store`: it is kept, and not served)",
            [],
            read_by=BY_AGENT,
        ),
        Setting(
            "content_check",
            Choice(("changed", "always")),
            "which files a look at the web root reads: those whose size, times or inode changed, or"
            " `always` all, for file systems that tell nothing of it (a change that is seen as it"
            " happens is read in any case)",
            "changed",
            since="0.2.0",
            read_by=BY_AGENT,
        ),
        Setting(
            "script_extensions",
            ListOf(
                Text(AN_EXTENSION, r"[A-Za-z0-9][A-Za-z0-9_+-]*"),
                f"a list of {AN_EXTENSION.removeprefix('a ').replace('extension', 'extensions')}",
            ),
            "extensions of scripts, without the dot, in any case: a file called so, or a backup of"
            " one (`x.php.bak`), is never sent. Where scripts are run, those of PHP always count",
            list(SCRIPT_EXTENSIONS),
            usually="PHP's, and `inc`",
            read_by=BY_NGINX | BY_AGENT,
            since="0.2.0",
        ),
        Setting(
            "runs_scripts",
            Flag(),
            "scripts are run: then no name is sent that has the extension of one anywhere"
            " (`x.php.txt`), nor what is below such a name",
            usually="with `php`, and where `extra` has a directive such as `proxy_pass` or"
            " `fastcgi_pass`, or an `include`",
            read_by=BY_NGINX | BY_AGENT,
            since="0.2.0",
            in_toml=Setting("runs_scripts", Flag(), "whether scripts are run for it", False),
        ),
        Setting(
            "types",
            TYPES,
            "media types by extension, as `{md: text/plain}`; they count before the host's"
            " `mime.types`, which counts before memfis' own list",
            usually="the host's, and what they lack",
            read_by=BY_NGINX | BY_AGENT,
            since="0.2.0",
            in_toml=Setting(
                "types", TYPES, "media types by extension, before those of `mime_types`"
            ),
        ),
        Setting(
            "default_type",
            Text("a media type, as text/html", r"[A-Za-z0-9.+_-]+/[A-Za-z0-9.+_-]+"),
            "Content-Type of what has no known extension",
            usually="nginx's",
            read_by=BY_NGINX | BY_AGENT,
        ),
        Setting(
            "charset",
            Text("the name of a charset", r"[A-Za-z0-9._-]+"),
            "nginx's `charset`",
            read_by=BY_NGINX | BY_AGENT,
        ),
        Setting(
            "autoindex",
            Flag(),
            "let nginx list directories without an index file",
            False,
            read_by=BY_NGINX,
        ),
        Setting(
            "error_pages",
            ListOf(ERROR_PAGE, "a list of tables with codes and uri"),
            "list of `{codes: [404], uri: /404.html}`; an answer keeps its own status, and the page"
            " always comes from disk",
            [],
            read_by=BY_NGINX,
        ),
        Setting(
            "headers",
            HEADERS,
            "response headers, from memory and from disk alike; errors have them too, but for those"
            " of caching. `Strict-Transport-Security` is not sent over plain HTTP where nginx knows"
            " it (`tls`, `proxies`)",
            {},
            read_by=BY_NGINX,
        ),
        Setting(
            "expires",
            ListOf(EXPIRY, "a list of tables with type and expires"),
            "list of `{type: image/, expires: 30d}`: how long browsers keep what has that"
            " Content-Type, or one that begins so; the first that fits counts",
            [],
            read_by=BY_NGINX,
        ),
        Setting(
            "max_page",
            Integer("a number of bytes, 1 or more", 1),
            "bytes of the largest page in memory, as stored",
            usually="`memfis_max_page`",
            read_by=BY_NGINX | BY_AGENT,
            in_toml=Setting(
                "max_page",
                Integer("a number of bytes, 1 or more", 1),
                "bytes of the largest page in memory, as stored",
                MAX_PAGE,
            ),
        ),
        Setting(
            "compress_level",
            Integer("0 (do not compress) to 12", 0, 12),
            "how densely pages are stored compressed, 1 to 12 (libdeflate's levels); 0: not at all",
            compression.LEVEL,
            read_by=BY_AGENT,
        ),
        Setting(
            "compress_types",
            ListOf(
                Text("a file name extension, without the dot", r"[^./]*"),
                "a list of file name extensions, without the dot",
            ),
            'file name extensions of what is compressed, without the dot, in any case; `""`: names'
            " without one",
            list(compression.TYPES),
            usually="text formats, plain fonts and images",
            read_by=BY_NGINX | BY_AGENT,
        ),
        Setting(
            "compress_min_size",
            Integer("a number of bytes"),
            "bytes from which a page is compressed",
            compression.MIN_SIZE,
            read_by=BY_AGENT,
        ),
        Setting(
            "compress_min_saving",
            Integer("a number of per cent, 0 to 100", 0, 100),
            "per cent that compression must save; otherwise the page is stored as it is",
            compression.MIN_SAVING,
            read_by=BY_AGENT,
        ),
        Setting(
            "delete_grace",
            Integer("a number of seconds, 0 to 60", 0, 60),
            "seconds after the last of more than 20 deletions in a row that the agent holds them;"
            " 0: they go at once",
            DELETE_GRACE,
            read_by=BY_AGENT,
            since="0.2.0",
        ),
        Setting(
            "header",
            Text("the name of a header, or empty", r"[A-Za-z0-9-]*"),
            "response header that says HIT or FALLBACK; empty: none",
            "X-Memfis",
            usually="`memfis_header`",
            read_by=BY_NGINX,
        ),
        Setting(
            "store_address",
            Text("unix:PATH or HOST:PORT", r"unix:/\S+|[^\s/]\S*:\d+"),
            "the site's store, `unix:PATH` or `HOST:PORT`",
            usually="`memfis_store_address`",
            read_by=BY_NGINX,
        ),
        Setting(
            "origin_socket",
            Text("an absolute path of at most 107 bytes", r"/[^\0\s]{1,106}", type="path"),
            "the listener that is the fallback alone",
            usually="`/run/memfis-origin/NAME.sock`",
            read_by=BY_NGINX | BY_AGENT,
            in_toml=Setting("origin", ABSOLUTE_PATH, "socket of the listener that is the fallback"),
        ),
        Setting(
            "extra",
            Text("lines of nginx's configuration"),
            "more lines for nginx's `server`, as they are; not for the one that only redirects. An"
            " `error_page` here would have no fallback: use `error_pages`",
            "",
            read_by=BY_NGINX,
        ),
        Setting(
            "php",
            PHP,
            "PHP for what is neither in memory nor on disk; `{}` is enough. Such a site has `index:"
            " [index.php, index.html]` and `charset: utf-8` unless it says otherwise",
            read_by=BY_NGINX | BY_AGENT,
            in_toml=Setting("php", PHP.in_toml(), "pages that PHP makes"),
        ),
    ),
    renamed={"memory": "from_memory, which is 'off' where memory was false"},
    also=_fits_together,
)
