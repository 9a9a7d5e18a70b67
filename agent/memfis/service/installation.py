"""Which installation this is: a host and a configuration, told from all others that share a store.

The mark says it in a site's own item, so that nobody removes what is somebody else's.
"""

import hashlib
import hmac
import os
import re
from pathlib import Path

MACHINE_ID = Path("/etc/machine-id")
"""machine-id(5): 32 hexadecimal digits that no other host has."""

_APPLICATION = b"memfis: whose site it is"


def mark(configuration: Path, machine_id: Path = MACHINE_ID) -> str | None:
    """Return the mark of the installation that `configuration` is the file of.

    Made of the machine's identity, hashed for this application as machine-id(5) wants it, of its
    name, since a copy of a host may have the identity of the first, and of the file's path. None:
    the host has no identity, so nothing can be told to be its own.
    """
    try:
        identity = machine_id.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    if not re.fullmatch(r"[0-9a-f]{32}", identity):  # empty, or "uninitialized"
        return None
    key = hmac.digest(bytes.fromhex(identity), _APPLICATION, "sha256")
    name = os.fsencode(os.uname().nodename)
    path = os.fsencode(os.path.abspath(configuration))  # links in it may be another's tomorrow
    return hmac.new(key, name + b"\0" + path, hashlib.sha256).hexdigest()[:32]
