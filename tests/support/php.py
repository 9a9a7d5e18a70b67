"""A real php-fpm, and the settings of a site that it answers for."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any

from memfis.settings.visitors import HARMLESS_COOKIES, OWN_HEADERS
from support.agent import Agent
from support.nginx import Site, Web
from support.ports import answers
from support.process import Process, listening, unprivileged

# Answers with what it was asked, and notes that it was. What else it does is said by files beside
# the web root, which the test writes and no client can.
FRONT = rb"""<?php
$asked = [
    'script' => $_SERVER['SCRIPT_NAME'], 'path' => $_SERVER['PATH_INFO'] ?? null,
    'method' => $_SERVER['REQUEST_METHOD'], 'uri' => $_SERVER['REQUEST_URI'],
    'query' => $_SERVER['QUERY_STRING'], 'host' => $_SERVER['HTTP_HOST'] ?? null,
    'name' => $_SERVER['SERVER_NAME'], 'port' => $_SERVER['SERVER_PORT'],
    'scheme' => $_SERVER['REQUEST_SCHEME'], 'https' => $_SERVER['HTTPS'] ?? null,
    'cookie' => $_SERVER['HTTP_COOKIE'] ?? null, 'shared' => $_SERVER['MEMFIS_SHARED'] ?? null,
    'user' => $_SERVER['HTTP_AUTHORIZATION'] ?? null,
    'forwarded' => $_SERVER['HTTP_X_FORWARDED_HOST'] ?? null,
    'proxy' => $_SERVER['HTTP_PROXY'] ?? null,
    'body' => md5(file_get_contents('php://input')), 'token' => bin2hex(random_bytes(8)),
];
$beside = dirname($_SERVER['DOCUMENT_ROOT']);
file_put_contents("$beside/asked", json_encode($asked) . "\n", FILE_APPEND | LOCK_EX);
foreach (@file("$beside/headers", FILE_IGNORE_NEW_LINES) ?: [] as $line) {
    header($line, false);
}
usleep((int) @file_get_contents("$beside/usleep"));
http_response_code((int) (@file_get_contents("$beside/status") ?: 200));
header('Content-Type: application/json');
echo json_encode($asked);
"""


def fpm() -> str:
    """Return the path of the newest php-fpm, whose name has its version in it."""
    found = sorted(
        Path("/usr/sbin").glob("php-fpm[0-9]*"),
        key=lambda path: [int(part) for part in re.findall(r"\d+", path.name)],
    )
    assert found, "php-fpm is not installed"
    return os.fspath(found[-1])


class PhpFpm:
    """php-fpm with one pool in `directory`."""

    def __init__(
        self, directory: Path, name: str = "php", children: int = 8, listen: str = ""
    ) -> None:
        self._listen = listen or os.fspath(directory / f"{name}.sock")
        user = unprivileged()
        log = directory / f"{name}.log"
        configuration = directory / f"{name}.conf"
        owner = f"user = {user.pw_name}\ngroup = {user.pw_name}\n" if user else ""
        configuration.write_text(
            f"[global]\nerror_log = {log}\ndaemonize = no\n"
            f"[{name}]\n{owner}listen = {self._listen}\nlisten.mode = 0666\n"
            f"pm = static\npm.max_children = {children}\n"
        )
        command: list[str | Path] = [fpm(), "--nodaemonize", "--fpm-config", configuration, "-n"]
        self._process = Process(command, log)

    @property
    def backend(self) -> str:
        """What the site's `backends` call it."""
        return f"unix:{self._listen}" if self._listen.startswith("/") else self._listen

    def start(self) -> None:
        """Start it."""
        if self._listen.startswith("/"):
            self._process.start(lambda: listening(Path(self._listen)))
        else:
            self._process.start(lambda: answers(int(self._listen.rpartition(":")[2])))

    def end(self) -> None:
        """End it, also when it is frozen; a killed php-fpm leaves its socket."""
        if self._process.running:
            self._process.end(SIGKILL)

    def freeze(self) -> None:
        """Let it answer nothing."""
        self._process.signal(SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        self._process.signal(SIGCONT)


def settings(directory: Path, php: PhpFpm, **changes: Any) -> dict[str, Any]:
    """Return `site.php` of the template, every key of the table in docs/php.md."""
    return {
        "backends": [php.backend],
        "front_controller": "/index.php",
        "uploads": ["/wp-content/uploads/"],
        "application": None,
        "cookies": None,
        "harmless_cookies": list(HARMLESS_COOKIES),
        "own_headers": list(OWN_HEADERS),
        "page_end": None,
        "ignored_arguments": ["utm_*", "fbclid"],
        "canonical": "http://site.example",
        "lifetime": 300,
        "stale_if_error": 86400,
        "stale_while_revalidate": 0,
        "render": [],
        "sitemaps": [],
        "concurrency": 4,
        "timeout": 30,
        "max_pages": 1000,
        "purge_on_change": [],
        "purge_from": ["127.0.0.1"],
        "hints": None,
        "purge": None,
        "microcache": os.fspath(directory / "microcache"),
        "access_log": "",
        **changes,
    }


TOLD = (
    *("canonical", "lifetime", "stale_while_revalidate", "concurrency", "timeout"),
    *("hints", "purge", "microcache"),
)
"""What the agent is told of `php`, too."""


@contextmanager
def kept_site(
    web: Web, php: PhpFpm, own: Mapping[str, Any] | None = None, **more: Any
) -> Iterator[Site]:
    """Start a site as `site_with`, and an agent that keeps it, with what the role would write."""
    sockets = {key: os.fspath(web.directory / f"{key}.sock") for key in ("hints", "purge")}
    site = site_with(web, php, own={**sockets, **(own or {})}, **more)
    table = {
        **{"name": site.name, "root": os.fspath(site.root), "origin": os.fspath(site.origin)},
        **{key: site.settings[key] for key in ("index", "from_memory", "default_type")},
        **({"charset": site.settings["charset"]} if site.settings["charset"] else {}),
        **({"first_level": os.fspath(site.told)} if site.told else {}),
        "php": {key: site.settings["php"][key] for key in TOLD},
    }
    agent = Agent(web.directory, {"store": f"memcached://{web.store.socket}"}, [table])
    agent.start()
    for path in sockets.values():
        # As the unit of the sockets has it for nginx.
        Path(path).chmod(0o666)
    try:
        yield site
    finally:
        agent.end()


def site_with(web: Web, php: PhpFpm, own: dict[str, Any] | None = None, **more: Any) -> Site:
    """Start a site whose front controller is FRONT; `own`: of the table `php`."""
    site = web.site(
        **{"index": ["index.php", "index.html"], **more},
        php=settings(web.directory, php, **(own or {})),
    )
    site.write("index.php", FRONT)
    web.start()
    return site


def asked(site: Site) -> list[Mapping[str, Any]]:
    """Return what PHP was asked so far by `FRONT`, in order."""
    try:
        lines = (site.root / "../asked").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]
