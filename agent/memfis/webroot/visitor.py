"""Who reads for visitors, where there is no disk to ask: in a site that lives in the store."""

import pwd

from memfis.settings.values import Site
from memfis.webroot.reader import Reader

VISITORS = ("www-data", "nginx", "http")
"""nginx's user in the distributions, where the configuration names none."""


def visitor(site: Site) -> Reader:
    """Return who reads for visitors: the site's reader, nginx's user, or nobody in particular."""
    if site.reader is not None:
        return Reader.called(site.reader)
    for name in VISITORS:
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return Reader.called(name)
    return Reader("others", -1, frozenset())
