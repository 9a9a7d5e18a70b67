"""`memfis check`."""

import click

from memfis.check.configuration import read_configuration
from memfis.check.sites import Checked, check_site
from memfis.commands.options import SiteFlags, json_option, print_json, site_options
from memfis.service.runtime import runtime_directory


@click.command()
@site_options
@click.option(
    "--nginx",
    "main",
    metavar="FILE",
    help="nginx's configuration; default: its own.",
)
@json_option
def check(flags: SiteFlags, main: str | None, as_json: bool) -> int:
    """Ask nginx on this host for every site, as visitors do, and say what is not as it should be.

    Each site is asked by each of its names, everywhere it listens, over TLS too. The answer has to
    be of the site's own server block, with status and body as its origin listener (the disk alone)
    has them, and from memory where the page is there. 401, 403, a redirect to HTTPS, and a page
    that the agent has not come to yet, are answers like others. What is wrong is told with its
    cause as far as that can be seen, and so is what nginx warns of. For root, as nginx's
    configuration is read (nginx -T).

    \b
    Exit codes: 0 all is well, 1 something is not, 2 nginx does not take its configuration.
    """
    settings = flags.settings(may_be_empty=True)
    if settings.has_none:
        if as_json:
            print_json({"sites": [], "warnings": []})
        return 0
    configuration = read_configuration(main)
    runtime = runtime_directory(settings.runtime_directory)
    found = [check_site(site, configuration, runtime) for site in settings.sites]
    warnings = configuration.warnings_of([site.name for site in settings.sites])
    if as_json:
        print_json({"sites": [each.as_json() for each in found], "warnings": warnings})
    else:
        for each in found:
            _print(each)
        for line in warnings:
            click.echo(f"nginx warns: {line}")
    return 1 if any(each.problems for each in found) else 0


def _print(checked: Checked) -> None:
    first = checked.first
    told = checked.site
    if first:
        status = "" if first.status == 200 else f" {first.status}"
        told = f"{first.url}  {first.served_by}{status}"
    pages = "1 page" if checked.pages == 1 else f"{checked.pages} pages"
    read_by = "" if checked.from_memory == "off" else f", read by {checked.from_memory}"
    click.echo(f"{told}  {pages}{read_by}" + (f" ({checked.why})" if checked.why else ""))
    for problem in checked.problems:
        click.echo(f"  {problem}")
