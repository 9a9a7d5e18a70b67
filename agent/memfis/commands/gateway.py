"""`memfis gateway`."""

import logging

import click

from memfis.commands.logs import log_to_stderr
from memfis.errors import UsageError
from memfis.gateway import run
from memfis.settings import load as configuration
from memfis.settings.load import DEFAULT_PATH, configuration_path


@click.command()
@click.option("--config", "-c", "path", metavar="FILE", help="Read this configuration.")
@click.option("--verbose", "-v", is_flag=True, help="Log more.")
def gateway(path: str | None, verbose: bool) -> None:
    """Serve a Couchbase bucket in memcached's ASCII protocol, until stopped.

    Couchbase Server has not spoken memcached's ASCII protocol since it lost moxi; nginx, the agent
    and the mount know no other. The gateway stands between them, one on each web host, and needs
    the extra 'memfis[couchbase]'. Its settings are the table [gateway] of the configuration:

    \b
      [gateway]
      connection = "couchbase://store1,store2"     couchbases:// for TLS
      bucket = "memfis"
      user = "memfis"
      password_file = "/etc/memfis-gateway/password"

    \b
      listen            ["unix:/run/memfis-gateway/gateway.sock"], or a port of 127.0.0.1
      certificate       CA certificates (PEM) of the cluster
      hot_bytes         memory for the pages asked for most (64 MiB)
      hot_ttl           seconds that they are answered without a look at Couchbase (1.0): a change
                        by another host is seen within hot_ttl + 1 s, one by this gateway at once
      stale_if_error    seconds that a page may be old while Couchbase is away (0: not at all)
      timeout           seconds without an answer of Couchbase that anybody waits (0.2)
      write_timeout     seconds that a write may take while Couchbase does answer others (2.5)
      breaker_failures  questions in a row without an answer until nobody waits any more (3)
      breaker_retry     seconds between two looks whether Couchbase is back (0.5)
      room              what the bucket has room for, as df and doctor are told (1 TiB)
      max_item          largest value in bytes (20 MiB, Couchbase's own limit)
      max_connections   clients at once (10000)
      buffer_bytes      memory for what clients send and are sent (256 MiB)
      client_timeout    seconds that a client may hang in the middle (30)
      drain_timeout     seconds that clients have to end when it stops (10)
      metrics           where Prometheus may ask: unix:/path/to.sock, or a port of 127.0.0.1
      allow_flush       whether flush_all empties the bucket (false)
      read_only         refuse writes: for hosts that only serve what another publishes (false)

    `END` means that a page is certainly not there. While Couchbase is slow or away the answer is
    SERVER_ERROR, within a quarter of a second, and nginx takes the page from disk. `stats` and
    'metrics' say how often, and why. Whoever may use the socket may read and write everything in
    the bucket: the protocol has no users.

    \b
    SIGTERM, SIGINT    stop: what was asked is answered first

    Under systemd it tells when it is ready (Type=notify) and takes over the sockets of a .socket
    unit in place of 'listen': nothing is lost at a restart. docs/gateway.md says more.
    """
    log_to_stderr(logging.DEBUG if verbose else logging.INFO)
    found = configuration_path(path)
    settings = configuration.load(found).gateway if found else None
    if settings is None:
        raise UsageError(
            f"{found or f'{DEFAULT_PATH} (not there, or not for you)'} has no [gateway] table with"
            " connection, bucket, user and password_file"
        )
    run(settings)
