"""What may have caused a wrong answer: looked for where it would be seen."""

import os
import shutil
import subprocess
from pathlib import Path

from memfis.check.configuration import Configuration
from memfis.control.messages import Keeping
from memfis.errors import RootError, StoreError, UsageError
from memfis.settings.addresses import StoreAddress
from memfis.settings.host import STORE_SOCKET
from memfis.settings.values import Site
from memfis.store import Store
from memfis.webroot import WebRoot
from memfis.webroot.obstacle import remedy
from memfis.webroot.reader import SEARCH, Reader

_NGINX = "nginx.service"
_WRITE = 2
_GATEWAY = "/run/memfis-gateway/"


def other_user(site: Site, configuration: Configuration) -> str:
    """Return what is wrong where nginx runs as another user than pages are published for."""
    runs_as = configuration.user
    if not (runs_as and site.reader) or runs_as == site.reader:
        return ""
    return (
        f"nginx runs as {runs_as} ({configuration.main}), and memfis publishes what {site.reader}"
        " may read: run the whole play again"
    )


def no_store(site: Site, error: StoreError) -> str:
    """Return why the store of `site` does not answer, in its own last words where it has some."""
    path = StoreAddress.parse(site.store).path or ""
    unit = ""
    if path == STORE_SOCKET:
        unit = "memfis-memcached.service"
    elif path.startswith(_GATEWAY):
        unit = "memfis-gateway.service"
    said = last_words(unit) if unit else ""
    return f"{error}; {unit} said at last: {said}" if said else str(error)


def causes(site: Site, configuration: Configuration, keeping: Keeping | None) -> str:
    """Return what explains that an answer of `site` is not as it should be; empty: nothing seen.

    `keeping`: how the agent says that it keeps the site.
    """
    return (
        other_user(site, configuration)
        or _closed(site)
        or _store_away(site)
        or _store_closed(site, configuration)
        or held(keeping)
        or _unread(keeping)
    )


def held(keeping: Keeping | None) -> str:
    """Return which deletions are held."""
    if keeping is None or keeping.held is None:
        return ""
    return (
        f"{keeping.held.pages} deletions are held until {keeping.held.until_shown}:"
        f" {keeping.held.why}"
    )


def not_listening() -> str:
    """Return what is known of an nginx that does not listen where it should, to end a line with."""
    if _run("systemctl", "is-active", _NGINX) == "active":
        return f": {_NGINX} runs with another configuration; systemctl reload nginx"
    said = last_words(_NGINX)
    return f"; {_NGINX} said at last: {said}" if said else ""


def last_words(unit: str) -> str:
    """Return the last line that the unit's own process wrote, or systemd of it; empty: none."""
    for chosen in (f"_SYSTEMD_UNIT={unit}", f"--unit={unit}"):
        line = "--lines=1", "--no-pager", "--output=cat", "--quiet"
        if said := _run("journalctl", chosen, *line):
            return said
    return ""


def _run(name: str, *arguments: str) -> str:
    """Return what a program prints; empty where it is not installed, or has nothing to say."""
    program = shutil.which(name)
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, errors="replace", timeout=10
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.strip()


def _closed(site: Site) -> str:
    if not site.root:
        return ""
    try:
        WebRoot(site, even_missing=True).check_open()
    except (RootError, UsageError) as error:
        return str(error)
    return ""


def _store_away(site: Site) -> str:
    store = Store.of(site)
    try:
        store.statistics()
    except StoreError as error:
        return no_store(site, error)
    finally:
        store.close()
    return ""


def _store_closed(site: Site, configuration: Configuration) -> str:
    """Return where nginx's user is not let through to the store's socket."""
    path = StoreAddress.parse(site.store).path
    user = configuration.user or site.reader
    if path is None or user is None:
        return ""
    try:
        nginx = Reader.called(user)
        needs = [(each, SEARCH) for each in Path(path).parents] + [(Path(path), _WRITE)]
        for place, wanted in needs:
            if nginx.uid != 0 and not nginx.may(wanted, os.fsencode(place), os.stat(place)):
                return f"nginx's user {user} may not use {place}, on the way to the store"
    except (OSError, UsageError) as error:
        return str(error)
    return ""


def _unread(keeping: Keeping | None) -> str:
    """Return what keeps the agent from reading, the most frequent first."""
    if keeping is None or not keeping.problems:
        return ""
    reason, number = max(keeping.problems.items(), key=lambda each: each[1])
    advice = remedy(reason)
    return f"the agent has {number} problems: {reason}{f' ({advice})' if advice else ''}"
