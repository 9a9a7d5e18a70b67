"""Visitors, as a running agent has seen them: is there a proxy that no setting names."""

from pathlib import Path

from memfis.control.client import ask_status
from memfis.doctor.findings import Finding
from memfis.settings.values import Site


def check_visitors(site: Site, runtime: Path) -> list[Finding]:
    """Return what is to be said of how requests come to `site`.

    Nothing where no agent runs for it, or it may not be asked; `runtime` is the agent's directory.
    """
    try:
        keeping = ask_status(runtime, site.name)
    except PermissionError:
        return []
    if keeping is None or keeping.rendering is None:
        return []
    visitors = keeping.rendering.visitors
    address = visitors.unnamed_proxy
    if address is None:
        return []
    message = (
        f"{visitors.forwarded[address]:,} of {visitors.answered:,} requests to PHP came through"
        f" {address} with X-Forwarded-Proto, which is not one of the site's proxies: PHP takes"
        " it for every visitor's address, and their scheme for the proxy's"
    )
    return [
        Finding(
            site.name,
            "proxies",
            "warning",
            message,
            f"if that is a proxy of yours, name it: proxies: [{address}]",
        )
    ]
