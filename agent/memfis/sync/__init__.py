"""Make the store equal to the web root: find the difference, apply it, check the outcome."""

from memfis.sync.limits import MaxDelete
from memfis.sync.lock import site_lock
from memfis.sync.options import Change, Options
from memfis.sync.report import Report
from memfis.sync.run import Sync, sync
from memfis.sync.verify import Discrepancy, verify

__all__ = [
    "Change",
    "Discrepancy",
    "MaxDelete",
    "Options",
    "Report",
    "Sync",
    "site_lock",
    "sync",
    "verify",
]
