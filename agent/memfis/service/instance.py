"""Where the embedded store listens: under a name of its own at each start, and a link to that.

The link is what everybody is told (`memfis_store_address`). What must not go to a store of a later
start, as nginx's way to pages that nobody has looked at yet, names the socket itself.
"""

import os
import secrets
from pathlib import Path

_WARM = "warm-"
_FRESH = "fresh-"


def listening(link: Path) -> Path | None:
    """Return the socket that `link` leads to, or `link` itself where it is one; None: neither."""
    try:
        return link.parent / os.readlink(link)
    except FileNotFoundError:
        return None
    except OSError:  # EINVAL: no link
        return link


def is_warm(socket: Path) -> bool:
    """Whether the store at `socket` began with what an earlier one had."""
    return socket.name.startswith(_WARM)


def new_name(link: Path, *, warm: bool) -> Path:
    """Return where the store that `link` is to lead to may listen; no other ever did."""
    kind = _WARM if warm else _FRESH
    return link.parent / f"{kind}{secrets.token_hex(8)}.sock"


def point(link: Path, target: Path | str) -> None:
    """Let `link` lead to `target` from now on, in place of what is there; raises OSError."""
    beside = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
    os.symlink(target, beside)
    try:
        os.replace(beside, link)
    except OSError:
        beside.unlink()
        raise
