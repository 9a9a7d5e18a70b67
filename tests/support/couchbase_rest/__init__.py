"""A stand-in for the REST API of Couchbase Server, as far as the role memfis_couchbase uses it.

`rules.py` says what is refused and how, `cluster.py` keeps the state, `server.py` speaks HTTP, and
`python3 -m couchbase_rest` runs it as a program with nothing but the standard library. What it does
not prove is listed in docs/couchbase.md.

Sources: Couchbase's REST API reference (docs.couchbase.com, server 8.0) and, for what that leaves
open, the texts of ns_server (menelaus_web_*.erl).
"""

from support.couchbase_rest.cluster import Machine, World
from support.couchbase_rest.server import Servers, machines

__all__ = ["Machine", "Servers", "World", "machines"]
