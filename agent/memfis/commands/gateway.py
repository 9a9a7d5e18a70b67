"""`memfis gateway`."""

import json
import logging

import click

from memfis.commands.logs import log_to_stderr
from memfis.errors import UsageError
from memfis.gateway import run
from memfis.settings import load as configuration
from memfis.settings.declare import Setting
from memfis.settings.gateway import GATEWAY
from memfis.settings.load import DEFAULT_PATH, configuration_path


class _WithSettings(click.Command):
    """A command whose help says what can be set in `[gateway]`."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the settings that need not be given, then the options."""
        with formatter.section("Settings, and their defaults"):
            formatter.write_dl(
                [
                    (each.name, f"{each.description} ({default_of(each)})".replace("`", ""))
                    for each in GATEWAY.settings
                    if not each.is_required
                ]
            )
        super().format_options(ctx, formatter)


def default_of(setting: Setting) -> str:
    """Return the default of `setting` for people, as JSON where it is a value."""
    return setting.usually or ("none" if setting.default is None else json.dumps(setting.default))


@click.command(cls=_WithSettings)
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
