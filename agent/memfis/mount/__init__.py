"""A site of the store as a filesystem of the host, by FUSE."""

from memfis.mount.options import Options
from memfis.mount.place import check, wait_until_answering
from memfis.mount.run import run

__all__ = ["Options", "check", "run", "wait_until_answering"]
