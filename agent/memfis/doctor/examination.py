"""All sites of a configuration, their stores and the host, examined."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from memfis.catalog.source import Source, declared_source
from memfis.doctor.census import Census, take
from memfis.doctor.findings import Finding
from memfis.doctor.first_level import check_first_levels
from memfis.doctor.kernel import WatchLimits, watch_limits, watched
from memfis.doctor.rendered import add_rendered, check_rendered
from memfis.doctor.store import StoreExamination, as_json, examine_store
from memfis.doctor.stored import check_stored, take_stored
from memfis.doctor.units import check_units
from memfis.doctor.visitors import check_visitors
from memfis.doctor.webroot import check_webroot, this_user
from memfis.errors import StoreError, UsageError
from memfis.nginx.switch import told_off
from memfis.service.runtime import runtime_directory
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import Settings, Site
from memfis.store import Store
from memfis.watch.mounts import mounts_of
from memfis.webroot import WebRoot


class Examination(msgspec.Struct):
    """What was found. `watches`: the directories that inotify has to watch, of all sites."""

    user: str
    sites: dict[str, Census] = msgspec.field(default_factory=dict)
    """By name; a site whose web root cannot be one is missing."""
    stores: list[StoreExamination] = msgspec.field(default_factory=list)
    watches: int = 0
    watched_sites: int = 0
    limits: WatchLimits | None = None
    findings: list[Finding] = msgspec.field(default_factory=list)
    unusable: list[str] = msgspec.field(default_factory=list)
    """Sites whose web root cannot be one, or whose source is another."""

    @property
    def fits(self) -> bool:
        """Whether there is nothing to do."""
        return all(finding.status == "ok" for finding in self.findings)

    @property
    def stores_answer(self) -> bool:
        """Whether every store could be asked."""
        return all(store.limit is not None for store in self.stores)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        limits = self.limits
        return {
            "fits": self.fits,
            "user": self.user,
            "sites": [
                {
                    "site": name,
                    "files": census.files,
                    "directories": census.directories,
                    "bytes": census.bytes,
                    "skipped": {reason: cases.number for reason, cases in census.skipped.items()},
                    "problems": {reason: cases.number for reason, cases in census.problems.items()},
                    "unreadable": census.unreadable.number,
                    "rendered": msgspec.to_builtins(census.rendered),
                }
                for name, census in self.sites.items()
            ],
            "stores": [as_json(store) for store in self.stores],
            "inotify": {
                "watches": self.watches,
                "max_user_watches": limits.watches.value if limits else None,
                "max_user_instances": limits.instances.value if limits else None,
                "advised": advised_limits(self.watches, self.watched_sites, limits),
            },
            "findings": msgspec.to_builtins(self.findings),
        }


def examine(settings: Settings, progress: Callable[[int], None]) -> Examination:
    """Examine all sites of `settings`; `progress` is called with numbers of files just counted."""
    found = Examination(this_user(), limits=watch_limits())
    stores: defaultdict[str, dict[str, Census]] = defaultdict(dict)
    runtime = runtime_directory(settings.runtime_directory)
    for site in settings.switched_off:
        message = "off: nginx answers from the disk alone, and nothing is kept"
        found.findings.append(Finding(site.name, "memory", "ok", message))
    for site in settings.kept:
        if told := told_off(site.name):
            found.findings.append(Finding(site.name, "memory", "ok", told))
        stored = declared_source(site) is Source.STORE
        if stored:
            census = _examine_stored(site, found, progress)
        else:
            census = _examine_webroot(site, found, progress, runtime)
        stores[str(StoreAddress.parse(site.store))] |= {site.name: census} if census else {}
    for url, sites in stores.items():
        found.stores.append(examine_store(url, Store(StoreAddress.parse(url)), sites))
        found.findings += found.stores[-1].findings
    found.findings += check_first_levels(settings.kept, found.sites)
    found.findings += _watches(found)
    return found


def _examine_webroot(
    site: Site, found: Examination, progress: Callable[[int], None], runtime: Path
) -> Census | None:
    try:
        webroot = WebRoot(site)
        webroot.check_open()
    except UsageError as error:
        advice = "correct the site's 'root', or let nginx's user and this one into it"
        found.findings.append(Finding(site.name, "web root", "problem", str(error), advice))
        found.unusable.append(site.name)
        return None
    census = take(site, webroot, progress)
    found.sites[site.name] = census
    found.watches += watched(webroot.root)
    found.watched_sites += 1
    found.findings += check_webroot(site.name, census, webroot.reader, mounts_of(webroot.root))
    found.findings += check_units(site.name, site.root)
    if site.php is not None:
        store = Store.of(site)
        try:
            census.rendered = add_rendered(site, site.php, store, census, progress)
        finally:
            store.close()
        found.findings.append(check_rendered(site.name, census.rendered))
        found.findings += check_visitors(site, runtime)
    return census


def _examine_stored(
    site: Site, found: Examination, progress: Callable[[int], None]
) -> Census | None:
    store = Store.of(site)
    try:
        census = take_stored(site, store, progress)
        figures, assigned = store.statistics(), store.assigned()
        found.findings += check_stored(site.name, census, figures, assigned)
    except StoreError:
        return None  # said of the store itself
    except UsageError as error:
        advice = "correct the site's 'source', or its name"
        found.findings.append(Finding(site.name, "source", "problem", str(error), advice))
        found.unusable.append(site.name)
        return None
    finally:
        store.close()
    found.sites[site.name] = census
    return census


def advised_limits(watches: int, sites: int, limits: WatchLimits | None) -> dict[str, int]:
    """Return the sysctls to raise, by name, each twice what is needed and rounded up to 2^n."""
    if limits is None:
        return {}
    needs = ((watches, limits.watches), (sites, limits.instances))
    return {
        limit.name: 1 << (2 * need - 1).bit_length() for need, limit in needs if need > limit.value
    }


def _watches(found: Examination) -> list[Finding]:
    if found.limits is None:
        message = "the kernel does not tell the limits of inotify"
        return [Finding("host", "inotify", "ok", message)]
    message = (
        f"{found.watches:,} of {found.limits.watches.value:,} watches and"
        f" {found.watched_sites:,} of {found.limits.instances.value:,} instances of a user would be"
        " needed"
    )
    advised = advised_limits(found.watches, found.watched_sites, found.limits)
    if not advised:
        return [Finding("host", "inotify", "ok", message)]
    settings = " ".join(f"{name}={number}" for name, number in advised.items())
    return [
        Finding(
            "host",
            "inotify",
            "warning",
            f"{message}: changes are found only by looking over everything",
            f"sysctl {settings}, and the same in /etc/sysctl.d",
        )
    ]
