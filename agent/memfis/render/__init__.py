"""Pages that PHP makes, rendered ahead into the store: what may be stored, when, and purges."""

from memfis.render.figures import Figures
from memfis.render.patterns import Pattern
from memfis.render.site import SiteRenderer

__all__ = ["Figures", "Pattern", "SiteRenderer"]
