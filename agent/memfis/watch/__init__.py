"""Notice that a web root changes."""

from memfis.watch.tree import TreeWatcher, WatchLimitError

__all__ = ["TreeWatcher", "WatchLimitError"]
