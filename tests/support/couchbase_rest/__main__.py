"""Run the stand-in as a program: one machine, until it is ended."""

import argparse
import signal
import sys
import threading
from pathlib import Path

# The package's own name, also where only this directory was copied to.
sys.path.insert(0, str(Path(__file__).parents[2]))

from support.couchbase_rest.cluster import World
from support.couchbase_rest.server import Servers, machines


def main() -> None:
    """Listen until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="couchbase_rest", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the name that the node has")
    parser.add_argument("--listen", default="0.0.0.0", help="the address it listens on")
    parser.add_argument("--port", type=int, default=8091)
    parser.add_argument("--enterprise", action="store_true")
    options = parser.parse_args()
    world = World(machines([options.host]), enterprise=options.enterprise)
    servers = Servers(world, options.port, options.listen)
    servers.start()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    servers.stop()


main()
