"""What systemd is told (sd_notify(3)); nothing where it did not start us."""

import os
import socket


def notify(*lines: str) -> None:
    """Send `lines`, as `READY=1`, to the service manager; raises OSError."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # in the abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto("\n".join(lines).encode(), address)
