"""Settings of a site whose pages PHP makes: `php` of a site, `[sites.php]` of memfis.toml."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from memfis.settings.declare import BY_AGENT, BY_NGINX, REQUIRED, Setting, Table
from memfis.settings.kinds import Choice, Integer, ListOf, Number, Text
from memfis.settings.patterns import PATTERNS
from memfis.settings.site_parts import A_NETWORK
from memfis.settings.visitors import APPLICATIONS

UPLOADS = [
    *("/wp-content/uploads/", "/wp-content/cache/", "/sites/default/files/", "/data/", "/uploads/"),
    *("/images/", "/media/", "/files/", "/fileadmin/", "/storage/"),
]
"""Where common applications put what their visitors send: no script runs below."""

IGNORED_ARGUMENTS = [
    *("utm_*", "fbclid", "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "msclkid", "yclid"),
    *("twclid", "ttclid", "li_fat_id", "igshid", "mc_cid", "mc_eid", "_ga", "_gl", "_hsenc"),
    *("_hsmi", "mtm_*", "pk_*", "srsltid"),
]
"""Arguments that campaigns add, and no application reads."""

YEAR = 366 * 24 * 3600
"""Seconds."""

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"

CANONICAL = Text(
    "https://HOST or http://HOST, with a port or without", rf"https?://{_HOST}(?::\d{{1,5}})?/?"
)
"""Scheme, host and port that pages are rendered for."""

_URLS = ListOf(
    # What nginx would take for another path, or refuse, is the path of no page.
    Text(
        "the path of a URL, as /about/",
        r"(?!.*(/\.\.(/|\Z)|%00|%2[Ee]))/[^?#\x00-\x20]*",
        type="path",
    ),
    "a list of URL paths",
)
_SOCKET = r"""/[^\s"'\\;:{}$]{1,106}"""
_SOCKET_OR_NONE = Text(
    "an absolute path of at most 107 bytes, or empty", f"{_SOCKET}|", type="path"
)
_PLACE = Text("an absolute path", r"/[^\0]*", type="path")


def _mistaken_cookie(pattern: str) -> str | None:
    """Return why nginx would refuse `pattern`, or take it for something else."""
    try:
        found = re.compile(pattern)
    except re.error as error:
        return f"is no regular expression: {error}"
    if found.groups or re.search(r"\s", pattern) or not pattern:
        return "expected a name, or a regular expression without captures"
    return None


_COOKIES = ListOf(Text("the name of a cookie", also=_mistaken_cookie), "a list of names of cookies")


def _in_toml(name: str, description: str) -> Setting:
    return Setting(name, _PLACE, description)


PHP = Table(
    "a table, as {} or [sites.php]",
    (
        Setting(
            "backends",
            ListOf(
                Text(
                    "unix:PATH or HOST:PORT",
                    r"""unix:/[^\s"'\\;{}$]+|""" + _HOST + r":\d{1,5}",
                ),
                "a list of unix:PATH or HOST:PORT",
            ),
            "php-fpm: `unix:PATH` or `HOST:PORT`; several are balanced, each left out for a while"
            " after it failed",
            usually="the pool of `memfis_php`",
            read_by=BY_NGINX,
        ),
        Setting(
            "front_controller",
            Text(
                "the path of a script, with or without the argument that is to take the URL's, or"
                " empty",
                r"/[A-Za-z0-9._~/-]*\.php(\?[A-Za-z0-9_.-]+=)?|",
            ),
            "what answers URLs that are no file. `/doku.php?id=` hands over the path in an"
            " argument; empty: every URL is a script's own",
            "/index.php",
            read_by=BY_NGINX,
        ),
        Setting(
            "uploads",
            ListOf(
                Text(
                    "the beginning of a path, of letters, digits and ._~+@,=-",
                    r"/[A-Za-z0-9._~+@,=-][A-Za-z0-9._~+@,=/-]*",
                ),
                "a list of beginnings of paths",
            ),
            "beginnings of paths below which no script ever runs, nor is sent",
            UPLOADS,
            usually="common applications'",
            read_by=BY_NGINX,
        ),
        Setting(
            "application",
            Choice(tuple(APPLICATIONS)),
            "what the pages are made with: `wordpress`, `dokuwiki` or `mediawiki`. Says by which"
            " cookies it knows visitors, and how its pages end",
            read_by=BY_NGINX,
            since="0.2.0",
        ),
        Setting(
            "cookies",
            _COOKIES,
            "names of cookies, as regular expressions: a request with one is a visitor's own, and"
            " its answer for nobody else; no other cookie is looked at",
            usually="the `application`'s, else all but harmless ones",
            read_by=BY_NGINX,
        ),
        Setting(
            "harmless_cookies",
            _COOKIES,
            "more names of cookies, as regular expressions, that select no page, beside those of"
            " analytics and consent",
            [],
            read_by=BY_NGINX,
            since="0.2.0",
        ),
        Setting(
            "own_headers",
            ListOf(Text("the name of a header", r"[A-Za-z0-9-]+"), "a list of names of headers"),
            "more headers that make a request one's own, beside `Authorization`, `X-Api-Key`,"
            " `HX-Request` and others",
            [],
            read_by=BY_NGINX,
            since="0.2.0",
        ),
        Setting(
            "page_end",
            Text("one line of text", r"[^\r\n\0]*"),
            "what every whole page of HTML ends with, but for comments; what does not is not kept."
            " Empty: whatever it ends with is kept",
            usually="the `application`'s, else `</html>` for what begins with `<html`",
            read_by=BY_AGENT,
            since="0.2.0",
        ),
        Setting(
            "ignored_arguments",
            ListOf(
                Text(
                    "a name of letters, digits and _.-, with or without a * at its end",
                    r"[A-Za-z0-9_.-]+\*?",
                ),
                "a list of names of arguments",
            ),
            "arguments that select no other page, with `*` at the end for any ending",
            IGNORED_ARGUMENTS,
            usually="`utm_*`, `fbclid`, `gclid` …",
            read_by=BY_NGINX,
        ),
        Setting(
            "canonical",
            CANONICAL,
            "host and scheme that pages are rendered for, as `https://HOST[:PORT]`",
            usually="first server name, `https` with `tls` or `proxies`",
            read_by=BY_NGINX | BY_AGENT,
            in_toml=Setting(
                "canonical", CANONICAL, "host and scheme that pages are rendered for", REQUIRED
            ),
        ),
        Setting(
            "lifetime",
            Integer("a number of seconds, 1 to a year", 1, YEAR),
            "seconds that a page stays in memory when it names no time itself",
            300,
            read_by=BY_NGINX | BY_AGENT,
        ),
        Setting(
            "stale_if_error",
            Integer("a number of seconds, 0 to a year", 0, YEAR),
            "seconds that an old page stays while PHP is in trouble",
            86400,
            read_by=BY_NGINX | BY_AGENT,
        ),
        Setting(
            "stale_while_revalidate",
            Integer("a number of seconds, 0 to a year", 0, YEAR),
            "seconds that an old page is shown while it is rendered again, when it says nothing"
            " of that itself (`from_memory: lua`)",
            0,
            read_by=BY_AGENT,
            since="0.2.0",
        ),
        Setting("render", _URLS, "paths that are always kept in memory", [], read_by=BY_AGENT),
        Setting(
            "sitemaps",
            _URLS,
            "paths of sitemaps whose pages are kept in memory, as `/sitemap.xml`",
            [],
            read_by=BY_AGENT,
        ),
        Setting(
            "concurrency",
            Integer("1 to 256", 1, 256),
            "pages rendered at a time",
            4,
            read_by=BY_AGENT,
        ),
        Setting(
            "timeout",
            Integer("a number of seconds, up to an hour", 1, 3600),
            "seconds that PHP has for a page, rendered or a visitor's",
            30,
            read_by=BY_NGINX | BY_AGENT,
            in_toml=Setting(
                "timeout",
                Number("a number of seconds, up to an hour", 0, 3600, above=True),
                "seconds that PHP has for a page that is rendered",
                30,
            ),
        ),
        Setting(
            "max_pages",
            Integer("a number of pages, 1 or more", 1, 2**31),
            "rendered pages of the site at most",
            100_000,
            read_by=BY_AGENT,
        ),
        Setting(
            "purge_on_change",
            PATTERNS,
            "gitignore patterns; a change of such a file, as `wp-content/themes/**`, purges"
            " everything rendered",
            [],
            read_by=BY_AGENT,
        ),
        Setting(
            "purge_from",
            ListOf(A_NETWORK, "a list of addresses and networks"),
            "addresses and networks that may send `PURGE`",
            ["127.0.0.1", "::1"],
            read_by=BY_NGINX,
        ),
        Setting(
            "peers",
            ListOf(
                Text(
                    "http://HOST[:PORT] or https://HOST[:PORT]", rf"https?://{_HOST}(?::\d{{1,5}})?"
                ),
                "a list of URLs without a path",
            ),
            "nginx of other hosts with stores of their own, as `https://10.0.0.2`: a purge here is"
            " told to each until it has done it. They ask for the `canonical` host, by TLS too, and"
            " must be in the others' `purge_from`",
            [],
            usually="by `memfis_peers`",
            read_by=BY_AGENT,
            since="0.2.0",
        ),
        Setting(
            "hints",
            _SOCKET_OR_NONE,
            "where nginx tells the agent what PHP was asked, a socket for datagrams; empty:"
            " nowhere",
            usually="`/run/memfis-agent/hints.sock`",
            read_by=BY_NGINX | BY_AGENT,
            in_toml=_in_toml("hints", "the socket for datagrams at which nginx tells what PHP did"),
        ),
        Setting(
            "purge",
            _SOCKET_OR_NONE,
            "where nginx hands `PURGE` to the agent; empty: nowhere",
            usually="`/run/memfis-agent/purge.sock`",
            read_by=BY_NGINX | BY_AGENT,
            in_toml=_in_toml("purge", "the socket at which nginx hands on `PURGE`"),
        ),
        Setting(
            "microcache",
            _SOCKET_OR_NONE,
            "directory in which nginx keeps answers for a second; empty: none. A file's name is the"
            " MD5 of its page's key, not escaped",
            usually="`/run/memfis-microcache/NAME`",
            read_by=BY_NGINX | BY_AGENT,
            in_toml=_in_toml("microcache", "the directory of nginx's `fastcgi_cache`"),
        ),
        Setting(
            "access_log",
            Text("an absolute path, or empty", r"""/[^\s"'\\;{}$]+|""", type="path"),
            "nginx's log of what PHP answered, beside the hints; empty: none",
            "/var/log/nginx/access.log",
            read_by=BY_NGINX,
        ),
    ),
)


def canonical_of(site: Mapping[str, Any], proxies: Sequence[str] = ()) -> str:
    """Return what pages are rendered for by default: the first server name, by TLS where it has it.

    Where it has none and is behind `proxies`, these have it. `site` is one of `memfis_sites` in
    which no problem was found; `proxies` are those of the host.
    """
    tls = site.get("tls")
    behind_proxies = not tls and site.get("proxies", proxies)
    scheme, usual = ("https", "443") if tls or behind_proxies else ("http", "80")
    listen = [usual] if behind_proxies else (tls or site).get("listen") or [usual]
    port = str(listen[0]).split()[0].rpartition(":")[2]
    shown = f":{port}" if port.isdigit() and port != usual else ""
    return f"{scheme}://{site['server_names'][0]}{shown}"
