"""The web root: what of it may be published, and why the rest may not."""

from memfis.webroot.content import BeingWrittenError, Files
from memfis.webroot.exclusions import Exclusions
from memfis.webroot.listing import Directory, Link, Listing, Problem, Skipped
from memfis.webroot.reader import Reader
from memfis.webroot.root import WebRoot

__all__ = [
    "BeingWrittenError",
    "Directory",
    "Exclusions",
    "Files",
    "Link",
    "Listing",
    "Problem",
    "Reader",
    "Skipped",
    "WebRoot",
]
