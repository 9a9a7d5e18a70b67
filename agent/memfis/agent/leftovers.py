"""Sites that the configuration has no more, or not in memory: what we have filled of them goes.

After the first syncs, so that nothing waits for it; never a site of another installation, of a
mount, or of a sync by flags. See docs/architecture/how-it-works.md.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from memfis.catalog.leftover import (
    Leftover,
    keys_of,
    leftovers,
    remove_keys,
    remove_recorded,
    site_names,
)
from memfis.errors import MemfisError, StoreRefusedError
from memfis.layout.keys import site_key
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import Settings
from memfis.store import Store
from memfis.sync import try_lock

T = TypeVar("T")

AGAIN = 60.0
"""Seconds before what could not be removed is tried again."""

log = logging.getLogger("memfis")


def stores_of(settings: Iterable[Settings]) -> set[str]:
    """Return the stores of the sites in `settings`."""
    return {site.store for each in settings for site in each.sites}


async def remove_leftovers(
    stores: Collection[str],
    before: Collection[str],
    load: Callable[[], Settings],
    runtime: Path,
    begun: Iterable[asyncio.Event],
) -> None:
    """Remove the sites in `stores` that are ours and that the settings `load` returns keep not.

    `before`: names of sites that the settings have or had, to be asked for where a store cannot
    list its keys. It waits for all of `begun`, and tried again until it was done everywhere.
    `runtime` is the directory of lock files.
    """
    for each in begun:
        await each.wait()
    pending = set(stores)
    while pending:
        for address in sorted(pending):
            try:
                if await _remove_from(StoreAddress.parse(address), before, load, runtime):
                    pending.discard(address)
            except MemfisError as error:
                log.debug("sites of before in %s: %s; trying again", address, error)
        if pending:
            await asyncio.sleep(AGAIN)


async def _remove_from(
    address: StoreAddress, before: Collection[str], load: Callable[[], Settings], runtime: Path
) -> bool:
    """Return whether all is removed from the store: nobody is at work on such a site."""
    names = set(before)
    done = True
    with closing(Store(address, first_level=load().first_level)) as store:
        try:
            names |= set(await asyncio.to_thread(_listed, store, site_names))
        except StoreRefusedError as error:
            log.debug("sites of before are not looked for: %s", error)
        for name in sorted(names):
            settings = load()
            if not _ours(store, name, settings):
                continue
            off = name in {site.name for site in settings.switched_off}
            why = "memory is off" if off else "no more in the configuration"
            with try_lock(runtime, name) as held:
                # now that nobody else writes it: is it still one to go?
                ours = _ours(store, name, load()) if held else []
                for leftover in ours:
                    await _remove(store, leftover, why)
                if not held:
                    log.info("%s: %s; another memfis has it", name, why)
                    done = False
    return done


def _ours(store: Store, name: str, settings: Settings) -> list[Leftover]:
    off = {site.name for site in settings.switched_off}
    left = leftovers(store, [name], {site.name for site in settings.kept})
    return [
        each
        for each in left
        if each.is_of(settings.installation) or (each.is_unmarked and name in off)
    ]


async def _remove(store: Store, leftover: Leftover, why: str) -> None:
    pages = 0
    keys_left = partial(keys_of, site=leftover.site)
    for number in remove_recorded(store, leftover):
        pages += number
        await asyncio.sleep(0)
    try:
        while keys := await asyncio.to_thread(_listed, store, keys_left):
            for number in remove_keys(store, keys):
                pages += number
                await asyncio.sleep(0)
    except StoreRefusedError as error:
        log.warning(
            "%s: pages that nothing records stay until their lease ends: %s", leftover.site, error
        )
    store.delete_many([site_key(leftover.site)])
    log.info("%s: %s; %d pages removed", leftover.site, why, pages)


def _listed(store: Store, ask: Callable[[Store], T]) -> T:
    """Return what `ask` finds over a connection of its own: it takes seconds, in a thread."""
    with closing(store.anew()) as own:
        return ask(own)
