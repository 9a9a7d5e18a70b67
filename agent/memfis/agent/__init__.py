"""The daemon: every configured site, kept equal to its web root."""

from memfis.agent.daemon import run

__all__ = ["run"]
