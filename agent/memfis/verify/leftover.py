"""Sites in a store that the configuration has no more."""

from collections.abc import Iterator

from memfis.catalog.leftover import leftovers, prefixes_of, site_names
from memfis.layout.keys import site_key
from memfis.settings.values import Settings
from memfis.store import Store
from memfis.verify.verified import Discrepancy, Verified


def unconfigured_sites(settings: Settings, store: Store) -> list[str]:
    """Return the names of sites in `store` that `settings` have no more.

    Only such as this installation has filled, or nobody knows who: what another one has filled, or
    a sync by flags, or a mount, is none of this configuration's business. Raises StoreRefusedError
    where the store cannot list its keys.
    """
    configured = {site.name for site in settings.sites}
    return [
        each.site
        for each in leftovers(store, site_names(store), configured)
        if each.is_of(settings.installation) or each.is_unmarked
    ]


def verify_unconfigured(site: str, store: Store) -> Iterator[Verified]:
    """Yield every item of `site`, which should not be there."""
    for key in store.all_keys():
        if key.startswith(prefixes_of(site)) or key == site_key(site):
            yield Verified(key, Discrepancy("unconfigured", key))
