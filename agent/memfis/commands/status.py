"""`memfis status`."""

import time
from typing import Any

import click
import msgspec

from memfis.commands.options import SiteFlags, json_option, print_json, site_options
from memfis.commands.situation import look
from memfis.errors import StoreError
from memfis.layout.paths import size
from memfis.nginx.first_level import Answers, FirstLevel, Part
from memfis.nginx.switch import told_off
from memfis.render import remedies
from memfis.render.visitors import Visitors
from memfis.sync import Held
from memfis.webroot.obstacle import remedy

COOKIES = 10
"""Names of cookies that people are shown."""


@click.command()
@site_options
@click.option("--fleet", "of_fleet", is_flag=True, help="Show the hosts that share the store.")
@json_option
def status(
    flags: SiteFlags,
    of_fleet: bool,
    as_json: bool,
) -> int:
    """Show how the stores and the sites are: health, fill, hit ratio, evictions, last sync, agent.

    Of a site that a mount fills: how many pages it has, and how many files that are kept private.

    Hits and misses are the store's own counters since its start: visitors' requests, and the looks
    of the agent. A running agent is asked what it still has to look at, and what cannot be in
    memory, by reason; only its own user and root may ask. It says how many pages it holds although
    their files are not found, why, and until when (--json: in seconds since the epoch). Of a site
    whose pages PHP makes also what was rendered, what was not and why, with the latest URLs, and
    how many requests PHP was saved at least: each page that was found asked for; and by which
    cookies, by name, visitors were kept from memory. Counts of rendering are since the agent began
    with the site.

    Of a site that nginx reads by Lua also what its visitors got since nginx was started: from
    memory, whole or as "not modified" (304), and what the fallback answered, by reason; and whether
    the first level, nginx's own memory, had room for all of it. Exit code 3 when a store cannot be
    reached.

    With --fleet: of each host that shares the store (table [fleet] of the configuration) whether it
    fills it, when it last said something, and what it keeps, as its agent tells the others through
    the store. Exit code 1 when one is silent, or none or several fill the store.
    """
    if of_fleet:
        from memfis.commands.fleet import show_fleet  # others need none of it

        return show_fleet(flags.settings(), as_json=as_json)
    documents = look(flags.settings())
    if as_json:
        print_json({"sites": documents})
    else:
        for document in documents:
            _print(document)
    return StoreError.exit_code if any("error" in document for document in documents) else 0


def _print(document: dict[str, Any]) -> None:
    click.echo(f"{document['site']}  {document['root'] or 'in the store alone'}")
    if told := told_off(document["site"]):
        click.echo(f"  memory: {told}")
    elif document["from_memory"] != "off":
        click.echo(f"  memory: read by {document['from_memory']}")
    if "error" in document:
        click.echo(f"  store: {document['error']}")
    else:
        _print_store(document)
    if document["visitors"]:
        _print_visitors(document["visitors"], document["first_level"])
    if document["from_memory"] == "off":
        click.echo('  memory: off (from_memory = "off"): nginx answers from the disk alone')
    elif document["root"] is None:
        click.echo("  agent: leaves this site to its mount")
    else:
        _print_agent(document["agent"])


def _print_store(document: dict[str, Any]) -> None:
    figures = document["statistics"]
    click.echo(
        f"  store: {document['store']}, memcached {figures['version']},"
        f" up {figures['uptime']} s, {size(figures['bytes'])} of {size(figures['limit'])}"
        f" in {figures['items']} items, {figures['evictions']} evicted"
    )
    if gateway := figures["gateway"]:
        answers = "is away, and is not waited for" if gateway["breaker_open"] else "answers"
        click.echo(
            f"  gateway: Couchbase {answers}; it went away {gateway['breaker_opened']} times,"
            f" {gateway['errors']} errors"
        )
    ratio = figures["hit_ratio"]
    click.echo(
        f"  asked by visitors and memfis: {figures['hits']} hits, {figures['misses']} misses"
        + (f" ({ratio:.1%} hits)" if ratio is not None else "")
    )
    if document["source"] == "store":
        _print_kept(document)
    elif document["last_sync"]:
        ago = time.time() - document["last_sync"]
        when = f"{ago:.0f} s ago" if ago >= 0 else "in the future: the clock was ahead then"
        pages = f"{document['pages']}, {size(document['bytes'])}"
        if "origins" in document:
            pages = f"{document['origins']['rendered']} rendered, {pages} of files"
        click.echo(f"  pages: {pages}; last synced {when}")
    else:
        click.echo(f"  pages: {'none' if document['from_memory'] == 'off' else 'never synced'}")


def _print_kept(document: dict[str, Any]) -> None:
    if not document["known"]:
        click.echo("  pages: none, the store does not know this site (yet, or any more)")
        return
    private = f"; {document['private']} files kept private" if document["private"] else ""
    click.echo(f"  pages: {document['pages']}{private}; {size(document['bytes'])} in all")
    if document["statistics"]["evictions_allowed"]:
        click.echo("  the store may evict pages that are nowhere else: run it with -M")


def _print_agent(agent: dict[str, Any] | None) -> None:
    if agent is None:
        click.echo("  agent: none runs for this site")
    elif "error" in agent:
        click.echo(f"  agent: {agent['error']}")
    else:
        click.echo(
            f"  agent: {agent['pending_directories']} directories to look at,"
            f" {agent['watched_directories']} watched"
        )
        if agent["held"]:
            held = msgspec.convert(agent["held"], Held)
            click.echo(f"  held: {held.pages} pages until {held.until_shown}: {held.why}")
        for reason in agent.get("not_listening", ()):
            click.echo(f"  agent: not listening, {reason}")
        for reason, number in sorted(agent["problems"].items()):
            click.echo(f"  not in memory: {number} {reason}")
            if advice := remedy(reason):
                click.echo(f"    {advice}")
        if "rendering" in agent:
            _print_rendering(agent["rendering"])


def _print_visitors(visitors: dict[str, Any], parts: dict[str, Any] | None) -> None:
    if "error" in visitors:
        click.echo(f"  visitors: {visitors['error']}")
        return
    answers = msgspec.convert(visitors, Answers)
    share = "" if answers.ratio is None else f" ({answers.ratio:.1%} from memory)"
    click.echo(
        f"  visitors since nginx was started: {answers.hits} hits,"
        f" {answers.not_modified} not modified, {answers.left} from the fallback{share}"
    )
    if answers.fallbacks:
        most = sorted(answers.fallbacks.items(), key=lambda each: -each[1])
        click.echo(f"  from the fallback: {', '.join(f'{number} {why}' for why, number in most)}")
    first_level = FirstLevel({}, msgspec.convert(parts, dict[str, Part]))
    room = (
        f"{first_level.evicted} pages had to go for others; 'memfis doctor' says how large it"
        " should be"
        if first_level.evicted
        else "room for every page that was asked for"
    )
    click.echo(f"  first level: {first_level.size // 1024**2} MiB, {room}")


def _print_kept_from_memory(visitors: Visitors) -> None:
    if visitors.cookies:
        most = sorted(visitors.cookies.items(), key=lambda each: -each[1])[:COOKIES]
        names = ", ".join(f"{number} {name}" for name, number in most)
        click.echo(
            f"  kept from memory by a cookie: {names} (one that selects no page belongs into"
            " php.harmless_cookies)"
        )
    if visitors.elsewhere:
        click.echo(
            f"  kept from memory by their host or scheme: {visitors.elsewhere} (pages are made for"
            " php.canonical)"
        )
    if (address := visitors.unnamed_proxy) is not None:
        click.echo(
            f"  proxy: nearly all requests come through {address}, with X-Forwarded-Proto; if that"
            " is one of yours, name it in the site's proxies"
        )


def _print_rendering(rendering: dict[str, Any]) -> None:
    figures = rendering["figures"]
    trouble = "; the origin is in trouble, old pages stay" if rendering["trouble"] else ""
    click.echo(
        f"  rendered: {rendering['pages']} in memory, {rendering['waiting']} waiting;"
        f" {figures['renders']} renders, {figures['failures']} failed,"
        f" {figures['purged']} pages purged{trouble}"
    )
    click.echo(f"  PHP answered: {rendering['visitors']['answered']} requests")
    click.echo(
        f"  PHP requests saved: {figures['found_asked_for']} at least (pages that were asked for"
        " before they were rendered again; all hits are counted above)"
    )
    _print_kept_from_memory(msgspec.convert(rendering["visitors"], Visitors))
    if figures["hints"]:
        hints = ", ".join(f"{number} {outcome}" for outcome, number in figures["hints"].items())
        click.echo(f"  hints: {hints}")
    for reason, number in sorted(figures["refusals"].items(), key=lambda each: -each[1]):
        named = [
            f"{path} ({detail})" if detail else path
            for path, detail in figures["examples"].get(reason, {}).items()
        ]
        click.echo(f"  not rendered: {number} {reason}: {', '.join(named)}")
        if advice := remedies.remedy(reason):
            click.echo(f"    {advice}")
