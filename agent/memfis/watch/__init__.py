"""Notice that a web root changes."""

from memfis.watch.changes import Changes
from memfis.watch.kernel import WatchLimitError
from memfis.watch.tree import TreeWatcher

__all__ = ["Changes", "TreeWatcher", "WatchLimitError"]
