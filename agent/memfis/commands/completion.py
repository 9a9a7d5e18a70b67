"""What the shell completes, beside names of commands and flags."""

import click
from click.shell_completion import CompletionItem

from memfis.errors import MemfisError
from memfis.settings import load as configuration


def site_names(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the names of configured sites that begin so; none where that cannot be read."""
    try:
        path = configuration.configuration_path(context.params.get("config"))
        sites = configuration.load(path).sites if path else ()
    except MemfisError:
        return []
    return [
        CompletionItem(site.name, help=site.root or None)
        for site in sites
        if site.name.startswith(incomplete)
    ]


def directories(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Let the shell complete names of directories."""
    return [CompletionItem(incomplete, type="dir")]
