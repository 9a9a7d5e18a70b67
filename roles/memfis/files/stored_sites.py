"""Print the sites whose only source is the store, and that have files in it, one a line.

stored_sites.py SOCKET: of the memcached that listens there; one that does not run has none.
"""

import json
import re
import socket
import sys
import time
from urllib.parse import unquote

PATIENCE = 10.0
"""Seconds for an answer, and for the store to be free to list its keys."""

HEADER = b'{"memfis":"directory","layout":1}\n'
"""All that the records of an empty directory are (agent/memfis/layout/records.py)."""


def main():
    """Ask the store; fail when it does not answer."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    try:
        connection.connect(sys.argv[1])
    except (FileNotFoundError, ConnectionRefusedError):
        return
    with connection, connection.makefile("rwb") as store:
        for name in sites(store):
            item = value(store, "memfis-site://" + name)
            records = value(store, "memfis-dir://" + name + "/")
            source = json.loads(item).get("source") if item else None
            if source == "store" and len(records) > len(HEADER):
                print(name)


def sites(store):
    """Return the names of all sites in the store."""
    deadline = time.monotonic() + PATIENCE
    while True:
        store.write(b"lru_crawler metadump hash\r\n")
        store.flush()
        keys = []
        while True:
            line = store.readline().decode("ascii", "replace")
            if not line.startswith("key="):
                break
            keys.append(unquote(line[4:].split(" ")[0]))
        if line.startswith("END"):
            return [key[14:] for key in keys if re.match("memfis-site://[a-z0-9.-]+$", key)]
        if not line.startswith("BUSY") or time.monotonic() > deadline:
            sys.exit("the store cannot list its keys: " + line.strip())
        time.sleep(0.1)


def value(store, key):
    """Return the item at `key`, empty where there is none."""
    store.write(b"get " + key.encode("ascii") + b"\r\n")
    store.flush()
    found = b""
    line = store.readline()
    if line.startswith(b"VALUE "):
        found = store.read(int(line.split()[3]))
        store.readline()
        line = store.readline()
    if line.strip() != b"END":
        sys.exit("the store answered " + repr(line))
    return found


if __name__ == "__main__":
    main()
