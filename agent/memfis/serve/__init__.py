"""`memfis serve`: nginx, memcached and the agent's work in the foreground, nothing installed.

What daemons share is in `service/`.
"""

from memfis.serve.foreground import serve

__all__ = ["serve"]
