"""`memfis serve`: nginx, memcached and the agent's work in the foreground, nothing installed."""

from memfis.serve.run import serve

__all__ = ["serve"]
