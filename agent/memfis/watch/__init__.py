"""Notice that a web root changes."""

from memfis.watch.tree import Changes, TreeWatcher, WatchLimitError

__all__ = ["Changes", "TreeWatcher", "WatchLimitError"]
