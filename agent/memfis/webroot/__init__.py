"""The web root: what of it may be published, and why the rest may not."""

from memfis.webroot.exclusions import Exclusions
from memfis.webroot.reader import Reader
from memfis.webroot.scan import Listing, Problem, Skipped, WebRoot

__all__ = ["Exclusions", "Listing", "Problem", "Reader", "Skipped", "WebRoot"]
