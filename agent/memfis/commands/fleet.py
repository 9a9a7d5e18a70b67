"""`memfis status --fleet`: hosts that share a store, by what each says in its box."""

import time
from contextlib import closing
from typing import Any

import click

from memfis.commands.options import print_json
from memfis.errors import UsageError
from memfis.fleet.fleet import GONE, WORD
from memfis.fleet.mailbox import Mailbox
from memfis.layout.boxes import Box
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import FleetSettings, Settings
from memfis.store import Store


def show_fleet(settings: Settings, *, as_json: bool) -> int:
    """Print how the hosts are, and return the exit code. Raises StoreError, and UsageError."""
    if settings.fleet is None:
        raise UsageError(
            "no other host shares the store: the configuration has no table [fleet], which the role"
            " writes with memfis_store: couchbase and several hosts in memfis_web"
        )
    with closing(Mailbox(Store(StoreAddress.parse(settings.store)))) as mailbox:
        boxes = mailbox.read(settings.fleet.hosts)
    hosts = [_document(host, boxes.get(host)) for host in settings.fleet.hosts]
    problems = list(_problems(settings.fleet, hosts))
    if as_json:
        print_json({"hosts": hosts, "problems": problems})
    else:
        for host in hosts:
            _print(host)
        for problem in problems:
            click.echo(f"problem: {problem}")
    return 1 if problems else 0


def _document(host: str, box: Box | ValueError | None) -> dict[str, Any]:
    document: dict[str, Any] = {"host": host, "heard": None, "publishes": False}
    if isinstance(box, ValueError):
        return {**document, "error": f"what it says is no box: {box}"}
    if box is None:
        return {**document, "error": "it has said nothing for a day"}
    age = time.time() - box.written
    silent = {"error": f"it has said nothing for {age:.0f} s"} if age > GONE + WORD else {}
    return {
        **document,
        "heard": box.written,
        "publishes": box.publishes and not silent,
        "version": box.version,
        "sites": list(box.sites),
        "pages": box.pages if box.publishes else None,
        "hints_waiting": len(box.hints),
        **silent,
    }


def _problems(fleet: FleetSettings, hosts: list[dict[str, Any]]) -> list[str]:
    found = [f"{host['host']}: {host['error']}" for host in hosts if "error" in host]
    filling = [host["host"] for host in hosts if host["publishes"]]
    if not filling:
        usual = f"; {fleet.publisher} should" if not fleet.takeover else ""
        found.append(f"no host fills the store{usual}")
    elif len(filling) > 1:
        found.append(f"several hosts fill the store: {', '.join(filling)}")
    sites = {tuple(host["sites"]) for host in hosts if host.get("sites") is not None}
    if len(sites) > 1:
        found.append("the hosts do not have the same sites")
    return found


def _print(host: dict[str, Any]) -> None:
    if host["heard"] is None:
        click.echo(f"{host['host']}  silent")
        return
    ago = time.time() - host["heard"]
    does = "fills the store" if host["publishes"] else "follows"
    pages = f", {host['pages']} pages of files" if host["pages"] is not None else ""
    waiting = f", {host['hints_waiting']} hints not heard yet" if host["hints_waiting"] else ""
    click.echo(
        f"{host['host']}  {'silent' if 'error' in host else does}, heard {max(0, ago):.0f} s ago,"
        f" memfis {host['version']}{pages}{waiting}"
    )
    click.echo(f"  sites: {', '.join(host['sites']) or 'none'}")
