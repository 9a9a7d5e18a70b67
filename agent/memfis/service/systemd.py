"""What systemd is told (sd_notify(3)); nothing where it did not start us."""

import os
import socket
from contextlib import suppress


def notify(*lines: str) -> None:
    """Send `lines`, as `READY=1`, to the service manager, if it is there and wants to know.

    A manager that went away is no reason to stop serving (sd_notify(3), "Return Value").
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # in the abstract namespace
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto("\n".join(lines).encode(), address)
