"""Sites for which nginx is told not to ask memory: a file of one line each, which it includes.

The files are beside nginx's own, so they stay whatever is started anew, and need neither agent nor
store. templates/nginx/site.conf.j2 includes them.
"""

import os
import re
import time
from pathlib import Path

from memfis.errors import ProgramError
from memfis.nginx.running import RunningNginx

DIRECTORY = "memfis-off"
"""Beside nginx's main file; site.conf.j2 has it too."""

_SINCE = re.compile(r"^# Since ([0-9]+) ", re.MULTILINE)
_SWITCH = re.compile(rf"^\s*include\s+{DIRECTORY}/([a-z0-9.-]+)\[\.\]conf;", re.MULTILINE)


def main_file() -> Path:
    """Return nginx's main file: as MEMFIS_NGINX_CONF says, or that of the distributions."""
    return Path(os.environ.get("MEMFIS_NGINX_CONF") or "/etc/nginx/nginx.conf")


def off_since(site: str) -> int | None:
    """Return since when nginx does not ask memory for `site`, in seconds since the epoch.

    None: it asks, or the file is not for us to read.
    """
    file = _file(main_file(), site)
    try:
        text = file.read_text("utf-8")
        found = _SINCE.search(text)
        return int(found[1]) if found else int(file.stat().st_mtime)
    except (FileNotFoundError, PermissionError):
        return None


def since_shown(since: int) -> str:
    """Return the time `since` for people, in local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))


def told_off(site: str) -> str:
    """Return one line: that `site` is off, since when, and what to do; empty: it is not."""
    since = off_since(site)
    if since is None:
        return ""
    return (
        f"off since {since_shown(since)}: nginx answers without memory until 'memfis on {site}' is"
        " run"
    )


class Switch:
    """What switches sites of one nginx off and on."""

    def __init__(self, configuration: Path) -> None:
        """Use the nginx whose main file is `configuration`; raises Refused, ProgramError."""
        self._configuration = configuration
        self._nginx = RunningNginx(configuration)
        self.sites = frozenset(_SWITCH.findall(self._nginx.read().text))
        """The names of the sites that can be switched."""

    def turn(self, sites: list[str], *, off: bool) -> bool:
        """Switch `sites` off, or on again; returns whether an nginx runs, which has taken it.

        Also where they are so already: nginx may not have read it. Raises Refused or ProgramError,
        with everything as it was.
        """
        before = {site: self._now(site) for site in sites}
        for site in sites:
            if off and before[site] is None:
                self._write(site, _text(site))
            elif not off:
                self._write(site, None)
        try:
            return self._nginx.reload(self._nginx.read().text)
        except ProgramError:
            for site, text in before.items():
                self._write(site, text)
            raise

    def _now(self, site: str) -> str | None:
        try:
            return _file(self._configuration, site).read_text("utf-8")
        except FileNotFoundError:
            return None

    def _write(self, site: str, text: str | None) -> None:
        file = _file(self._configuration, site)
        if text is None:
            file.unlink(missing_ok=True)
            return
        file.parent.mkdir(mode=0o755, exist_ok=True)
        new = file.with_suffix(".new")
        new.write_text(text, "utf-8")
        new.chmod(0o644)
        new.replace(file)


def _file(configuration: Path, site: str) -> Path:
    return configuration.parent / DIRECTORY / f"{site}.conf"


def _text(site: str) -> str:
    now = int(time.time())
    return (
        f"# Written by `memfis off {site}`, ended by `memfis on {site}`.\n"
        f"# Since {now} ({since_shown(now)})\n"
        "default off;\n"
    )
