"""Make the store equal to the web root: find the difference, apply it, check the outcome."""

from memfis.sync.deletions import Deletions, Held
from memfis.sync.limits import MaxDelete
from memfis.sync.lock import try_lock
from memfis.sync.options import Change, Options
from memfis.sync.report import Report
from memfis.sync.target import Target
from memfis.sync.walk import Walk
from memfis.sync.whole_site import Sync, sync

__all__ = [
    "Change",
    "Deletions",
    "Held",
    "MaxDelete",
    "Options",
    "Report",
    "Sync",
    "Target",
    "Walk",
    "sync",
    "try_lock",
]
