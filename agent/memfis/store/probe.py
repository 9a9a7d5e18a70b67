"""Ask a store how it is, without keeping the event loop waiting while the store is slow."""

import asyncio

from memfis.errors import StoreError
from memfis.settings.addresses import StoreAddress
from memfis.store.connection import unreachable
from memfis.store.wire import check_key

LINE = 2048
"""Longest line in bytes of an answer to `stats`."""


async def probe(
    address: StoreAddress, timeout: float, key: bytes | None = None
) -> tuple[dict[str, str], bool]:
    """Return what the store answers to `stats`, and whether it has `key`; raises StoreError.

    All within `timeout` seconds. See memcached doc/protocol.txt, "General-purpose statistics". The
    question for `key` leaves no trace but in the store's own count of hits.
    """
    try:
        async with asyncio.timeout(timeout):
            if address.path is None:
                opening = asyncio.open_connection(address.host, address.port, limit=LINE)
            else:
                opening = asyncio.open_unix_connection(address.path, limit=LINE)
            reader, writer = await opening
            try:
                writer.write(b"stats\r\n")
                figures = await _figures(reader, address)
                if key is None:
                    return figures, True
                writer.write(b"mg %b u\r\n" % check_key(key))
                return figures, (await reader.readline()).startswith(b"HD")
            finally:
                writer.close()
    except OSError as error:  # TimeoutError is one
        raise unreachable(address, error) from error


async def _figures(reader: asyncio.StreamReader, address: StoreAddress) -> dict[str, str]:
    figures: dict[str, str] = {}
    while True:
        try:
            line = (await reader.readline()).decode("ascii", "replace").rstrip("\r\n")
        except ValueError:  # longer than any
            line = "…"
        if line == "END":
            return figures
        word, _, rest = line.partition(" ")
        name, _, figure = rest.partition(" ")
        if word != "STAT" or not figure:
            raise StoreError(f"store {address} answered {line[:200]!r}: is it a memcached?")
        figures[name] = figure
