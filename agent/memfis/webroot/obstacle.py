"""What keeps a URL path out of memory, and what would change that."""

from typing import NamedTuple

from memfis.layout.paths import shown, split
from memfis.webroot.listing import Directory
from memfis.webroot.root import WebRoot

_REMEDIES = {
    "excluded": "take it out of the site's 'exclude', or put '!' and its name at the end there;"
    " names with a dot in front, and those of scripts, are never sent",
    "not readable for nginx's user": "let nginx's user read it, by chmod o+r or setfacl",
    "nginx's user": "let nginx's user enter it, by chmod o+x or setfacl",
    "symbolic link out of the web root": "name the directory where it leads in the site's 'follow',"
    " if that is meant to be public",
    "symbolic link to a name that is never served": "give what it leads to another name",
    "dangling symbolic link": "remove the link, or make what it leads to",
    "circular symbolic link": "remove the link",
    "linked directory in a linked directory": "let the outer link lead to the directory itself",
    "key too long": "shorten the path: a key ends at 250 bytes, the site's name included",
    "not a regular file": "remove it",
    "cannot be listed": "let this user list the directory: setfacl -m u:USER:rx DIRECTORY",
    "Permission denied": "let this user enter the directory above: setfacl -m u:USER:x DIRECTORY",
}
"""By how a reason begins. A user who has no power over files may be `USER`."""


class Obstacle(NamedTuple):
    """What stands in the way of a page."""

    path: bytes
    """URL path of the page, or of a directory on the way to it."""
    reason: str
    remedy: str
    """Empty: nothing is known to help."""


def remedy(reason: str) -> str:
    """Return what to do about a problem or a skipped file, whose `reason` a listing gives."""
    return next((text for start, text in _REMEDIES.items() if reason.startswith(start)), "")


def find_obstacle(webroot: WebRoot, path: bytes, index: bytes | None) -> Obstacle | None:
    """Return why the file at URL path `path` is not published; None: it is.

    `index`: the name of the file that a directory's own URL is for. Raises RootError.
    """
    if webroot.closed is not None:
        return Obstacle(b"/", str(webroot.closed), "")
    directory, name = split(path)
    here = webroot.top()
    for part in directory.split(b"/")[1:-1]:
        below = _look(webroot, here, part)
        if not isinstance(below, Directory):
            return below or Obstacle(here.path + part, "is a file", "")
        here = below
    if not name:
        if index is None:
            return Obstacle(
                path, "no page is kept for a directory: the first 'index' is no .html", ""
            )
        name = index
    found = _look(webroot, here, name)
    if isinstance(found, Directory) and path.endswith(b"/"):
        return Obstacle(path + name, "is a directory", "")
    if isinstance(found, Directory):
        return Obstacle(path, "is a directory", f"its page is that of {shown(path)}/")
    return found


def _look(webroot: WebRoot, parent: Directory, name: bytes) -> Directory | Obstacle | None:
    """Return the directory `name` in `parent`, None for a file, or why neither is published."""
    listing = webroot.look(parent, [name])
    for _, reason in (*listing.problems, *listing.skipped):
        return Obstacle(parent.path + name, reason, remedy(reason))
    if listing.below:
        return listing.below[0]
    if not listing.entries:
        return Obstacle(parent.path + name, "there is no such file", "")
    return None
