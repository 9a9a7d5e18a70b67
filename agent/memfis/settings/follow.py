"""Directories outside a web root that links may lead into (`follow`), and what they may not be."""

from collections.abc import Iterator, Mapping, Sequence
from posixpath import normpath
from typing import Any

from memfis.settings.kinds import shown


def follow_problems(sites: Sequence[Mapping[str, Any]], where: str) -> Iterator[str]:
    """Yield a line for each directory of `follow` that would publish more than its own files.

    `where` is the name of the list `sites`. Paths are compared as they are written: what links make
    of them is looked at by the agent.
    """
    roots = [_root(site) for site in sites]
    for number, site in enumerate(sites):
        given = site.get("follow")
        for index, path in enumerate(given if isinstance(given, list | tuple) else ()):
            if not isinstance(path, str) or not path.startswith("/") or normpath(path) in _TOP:
                continue  # it is named as no directory at all
            at = f"{where}[{number}].follow[{index}]: {shown(path)}"
            for other, root in enumerate(roots):
                whose = "the web root" if other == number else f"the root of {where}[{other}]"
                if root and (relation := _relation(normpath(path), root)):
                    yield f"{at}: {relation} {whose}, {root}"


_TOP = ("/", "//")  # what normpath makes of several slashes


def _root(site: Mapping[str, Any]) -> str:
    root = site.get("root")
    return normpath(root) if isinstance(root, str) and root.startswith("/") else ""


def _relation(path: str, root: str) -> str:
    if path == root:
        return "is"
    if root.startswith(path + "/"):
        return "holds"
    return "is in" if path.startswith(root + "/") else ""
