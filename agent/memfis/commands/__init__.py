"""The command line: one module a command, imported when it is called."""

import importlib
import sys

import click

from memfis import __version__
from memfis.errors import ConfigurationError, MemfisError

COMMANDS = {
    "serve": ("serve", "Serve a directory from memory, in the foreground."),
    "sync": ("sync", "Make the store equal to the web root, once."),
    "agent": ("agent", "Keep the store equal to the web roots (the daemon)."),
    "mount": ("mount", "Mount a site of the store as a filesystem."),
    "gateway": ("gateway", "Serve a Couchbase bucket in memcached's protocol (the daemon)."),
    "purge": ("purge", "Remove pages from memory, for the next visitor to get them anew."),
    "check": ("check", "Ask nginx for every site, as visitors do, and compare."),
    "off": ("switch", "Let nginx answer without memory for a site, at once."),
    "on": ("switch", "Let nginx answer from memory again."),
    "verify": ("verify", "Compare the store with the web root."),
    "ls": ("inspect", "List a directory of the store."),
    "cat": ("inspect", "Print a page from the store."),
    "stat": ("inspect", "Show what the store knows of a page."),
    "key": ("inspect", "Print the key that nginx asks for."),
    "status": ("status", "Show how the store and the sites are."),
    "top": ("top", "Watch the stores and the sites, once a second."),
    "doctor": ("doctor", "Say whether the sites would fit, before the first sync."),
}
"""Commands in the order of --help: module and short help, so that --help imports none of them."""


class Commands(click.Group):
    """The group that imports a command's module when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in their own order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command `cmd_name`, or None."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"memfis.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


EXIT_CODES = """\
\b
Exit codes:
  0  done
  1  differences found, or some files failed
  2  wrong usage or configuration, or a program that is missing or does not start
  3  the store cannot be reached
  4  refused by a safety limit; nothing was written
"""


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
)
@click.version_option(__version__, prog_name="memfis")
def memfis() -> None:
    """Serve websites out of memory.

    nginx answers from a memcached-protocol store and falls back to disk; memfis keeps the store
    equal to the web root. Settings: /etc/memfis/memfis.toml, the file named by MEMFIS_CONFIG or
    --config, then flags.
    """


def run_command(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: every error is one clear line on stderr."""
    try:
        code = memfis.main(arguments, prog_name="memfis", standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except MemfisError as error:
        lines = error.problems if isinstance(error, ConfigurationError) else [str(error)]
        source = f"{error.source}: " if isinstance(error, ConfigurationError) else ""
        for line in lines:
            click.echo(f"memfis: {source}{line}", err=True)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 141
    except KeyboardInterrupt:
        return 130
    return code if isinstance(code, int) else 0


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    sys.exit(run_command(arguments))
