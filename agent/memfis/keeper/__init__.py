"""Keep a site equal to its web root: at start, on every change, and when the store lost it.

A site without a web root is left alone.
"""

from memfis.keeper.kept import Kept, Purger
from memfis.keeper.site import SiteKeeper
from memfis.keeper.stored import StoredSite

__all__ = ["Kept", "Purger", "SiteKeeper", "StoredSite"]
