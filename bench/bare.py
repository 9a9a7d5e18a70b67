"""The least that Python can do to fill a store: no records, no checks, one process.

    python bench/bare.py DIRECTORY SOCKET

Lists a tree of two levels, reads every file, computes its CRC-32 and stores it by quiet meta-sets.
`bench/syncing.py` runs it beside `memfis sync`, to tell what is memfis's own from what is not.
"""

import os
import socket
import sys

import deflate

VECTORS = 1024
"""Buffers in one call (IOV_MAX of Linux, writev(2))."""


def fill(root: bytes, store: socket.socket) -> None:
    """Put every file of the directories in `root` into `store`."""
    for directory in sorted(os.listdir(root)):
        path = os.path.join(root, directory)
        with os.scandir(path) as children:
            sizes = {child.name: child.stat(follow_symlinks=False).st_size for child in children}
        parts: list[bytes] = []
        for name, size in sizes.items():
            descriptor = os.open(os.path.join(path, name), os.O_RDONLY | os.O_NOFOLLOW)
            content = os.read(descriptor, size + 1)
            os.close(descriptor)
            flags = deflate.crc32(content) & 0xFFFFFFFC
            line = b"ms memfis://bare/%b/%b %d F%d q\r\n" % (directory, name, len(content), flags)
            parts += (line, content, b"\r\n")
        parts.append(b"mn\r\n")
        for start in range(0, len(parts), VECTORS):
            some = parts[start : start + VECTORS]
            rest = store.sendmsg(some) - sum(map(len, some))
            if rest:
                store.sendall(memoryview(b"".join(some))[rest:])
        answer = store.recv(4096)
        if answer != b"MN\r\n":
            sys.exit(f"the store answered {answer!r}")


if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(sys.argv[2])
        fill(os.fsencode(sys.argv[1]), connection)
