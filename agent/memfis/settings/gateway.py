"""Settings of `memfis gateway`: the table `[gateway]` of the configuration."""

from typing import Annotated

import msgspec
from msgspec import Meta

SOCKET = "unix:/run/memfis-gateway/gateway.sock"
"""Where nginx, the agent and the mount find it."""

NAME = "memfis-gateway"
"""What the version ends with that a gateway answers: how clients know that it is no memcached."""

MIB = 1024 * 1024

Connection = Annotated[str, Meta(pattern=r"^couchbases?://[^\s/@]+(\?\S*)?\Z")]
Bucket = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.%-]{1,100}\Z")]
Path = Annotated[str, Meta(pattern=r"^/")]
Seconds = Annotated[float, Meta(ge=0)]
SomeTime = Annotated[float, Meta(ge=0.01, le=3600)]
Number = Annotated[int, Meta(ge=1)]


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The table `[gateway]`; docs/gateway.md says what each is for."""

    connection: Connection
    """As Couchbase's SDK reads it; `couchbases://` is TLS."""
    bucket: Bucket = "memfis"
    user: str
    password_file: Path
    """A file whose first line is the password: it is never on a command line."""
    certificate: Path | None = None
    """CA certificates (PEM) that the cluster's is checked against; None: the SDK's own."""
    listen: tuple[str, ...] = (SOCKET,)
    metrics: str | None = None
    hot_bytes: Annotated[int, Meta(ge=0)] = 64 * MIB
    hot_ttl: Annotated[float, Meta(ge=0, le=60)] = 1.0
    """Seconds that a page is answered without a look at Couchbase."""
    stale_if_error: Annotated[float, Meta(ge=0, le=86400)] = 0.0
    """Seconds that a page may be old when Couchbase cannot be asked."""
    timeout: Annotated[float, Meta(ge=0.01, le=60)] = 0.2
    """Seconds without any answer of Couchbase that a client waits."""
    write_timeout: SomeTime = 2.5
    """Seconds that a write may take while Couchbase does answer others."""
    breaker_failures: Number = 3
    breaker_retry: SomeTime = 0.5
    room: Annotated[int, Meta(ge=MIB)] = 1 << 40
    """Bytes that the bucket has room for, as clients are told: Couchbase tells it nobody here."""
    max_item: Annotated[int, Meta(ge=1024, le=20 * MIB)] = 20 * MIB
    max_connections: Number = 10_000
    buffer_bytes: Annotated[int, Meta(ge=64 * MIB)] = 256 * MIB
    client_timeout: SomeTime = 30.0
    """Seconds that a client may take to go on sending a value or reading an answer."""
    drain_timeout: Seconds = 10.0
    allow_flush: bool = False
    read_only: bool = False
    """Whether whatever would change something is refused: for hosts that do not publish."""


EXPECTED_OF_GATEWAY = {
    "gateway": "expected a [gateway] table",
    "gateway.connection": "expected couchbase://HOST[,HOST…] or couchbases://HOST[,HOST…]",
    "gateway.bucket": "expected a bucket's name",
    "gateway.password_file": "expected an absolute path",
    "gateway.certificate": "expected an absolute path",
    "gateway.listen": "expected a list of unix:/path/to.sock or HOST:PORT",
    "gateway.hot_bytes": "expected a number of bytes; 0: no hot cache",
    "gateway.hot_ttl": "expected a number of seconds, 0 to 60",
    "gateway.stale_if_error": "expected a number of seconds, 0 to 86400",
    "gateway.timeout": "expected a number of seconds, 0.01 to 60",
    "gateway.max_item": "expected a number of bytes, 1024 to 20971520",
    "gateway.room": "expected a number of bytes, 1048576 (1 MiB) or more",
    "gateway.buffer_bytes": "expected a number of bytes, 67108864 (64 MiB) or more",
}
"""What to say of a setting that cannot be used."""
