"""An ASCII memcached in front of a Couchbase bucket."""

from memfis.gateway.run import run

__all__ = ["run"]
