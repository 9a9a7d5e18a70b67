"""A site of the store as a filesystem of the host, by FUSE."""

from memfis.mount.mounting import run
from memfis.mount.options import Options
from memfis.mount.place import check, wait_until_answering

__all__ = ["Options", "check", "run", "wait_until_answering"]
