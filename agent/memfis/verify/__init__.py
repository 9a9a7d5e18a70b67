"""Is in the store, and does nginx serve, what should be? Nothing is changed, only compared.

`webroot`: the store with the web root. `stored`: what a mount filled, with its own records. `http`:
what nginx answers with its origin listener, or with the store.
`leftover`: what is left of sites that the configuration has no more.
"""

from memfis.verify.http import compare_with_origin, compare_with_store, tally
from memfis.verify.leftover import unconfigured_sites, verify_unconfigured
from memfis.verify.stored import verify_store
from memfis.verify.verified import Discrepancy, Verified
from memfis.verify.webroot import verify_webroot

__all__ = [
    "Discrepancy",
    "Verified",
    "compare_with_origin",
    "compare_with_store",
    "tally",
    "unconfigured_sites",
    "verify_store",
    "verify_unconfigured",
    "verify_webroot",
]
