"""An ASCII memcached in front of a Couchbase bucket."""

from memfis.gateway.startup import run

__all__ = ["run"]
