"""Keep a site equal to its web root: at start, on every change, and when the store lost it."""

from memfis.keeper.signals import Signals
from memfis.keeper.site import SiteKeeper

__all__ = ["Signals", "SiteKeeper"]
