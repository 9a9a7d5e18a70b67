"""Where sockets are: addresses of stores, and of what daemons listen at."""

import re
from dataclasses import dataclass

from memfis.errors import UsageError


@dataclass(frozen=True)
class StoreAddress:
    """Where a store listens: a path of a unix socket, or a host and port."""

    path: str | None
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, url: str) -> "StoreAddress":
        """Read `memcached://HOST:PORT` or `memcached:///path/to.sock`; raises UsageError."""
        match = re.fullmatch(
            r"memcached://(?:(?P<path>/.+)|(?P<host>\[[0-9a-fA-F:.]+\]|[^/:\[\]]+)(?::(?P<port>\d+))?)",
            url,
        )
        port = int((match and match["port"]) or 11211)
        if not match or not 0 < port < 65536:
            raise UsageError(
                f"store {url!r}: expected memcached://HOST:PORT or memcached:///path/to.sock"
            )
        if match["path"]:
            return cls(match["path"])
        return cls(None, match["host"].strip("[]"), port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"memcached://{self.path or f'{host}:{self.port}'}"


@dataclass(frozen=True)
class ListenAddress:
    """Where figures can be asked for: a path of a unix socket, or a loopback host and port."""

    path: str | None
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> "ListenAddress":
        """Read `unix:/path/to.sock` or `HOST:PORT`; raises UsageError."""
        match = re.fullmatch(
            r"unix:(?P<path>/.+)|(?P<host>localhost|127(?:\.\d{1,3}){3}|\[::1\]):(?P<port>\d+)",
            text,
        )
        port = int((match and match["port"]) or 1)
        if not match or not 0 < port < 65536:
            raise UsageError(
                f"{text!r}: expected unix:/path/to.sock, or a port of a loopback address, as"
                " 127.0.0.1:9180"
            )
        return cls(match["path"], (match["host"] or "").strip("[]"), port)
