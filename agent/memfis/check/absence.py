"""Why a page is not in memory, as far as can be seen without asking the agent."""

from memfis.errors import MemfisError
from memfis.layout.identity import is_spelled
from memfis.layout.pages import NO_PAGE
from memfis.layout.records import Entry
from memfis.settings.values import Site
from memfis.sync.difference import too_large
from memfis.webroot import WebRoot
from memfis.webroot.obstacle import Obstacle, find_obstacle

UNREAD = "nobody has read the file yet"
LOST = "it was there, and the store has let it go"


def why_absent(site: Site, path: bytes, entry: Entry | None, index: bytes | None) -> Obstacle:
    """Return why nothing is in memory for the URL path `path` of a site with a web root.

    `entry`: what is recorded of it; `index`: the name of a directory's page.
    """
    try:
        obstacle = find_obstacle(WebRoot(site, even_missing=True), path, index)
    except MemfisError as error:
        return Obstacle(b"/", str(error), "")
    if site.php is not None and (obstacle is not None or is_spelled(path)):
        return Obstacle(
            path,
            "PHP makes it, and has not been asked, or its answer is not for everybody",
            f"ask for it; `memfis status --site {site.name}` says what is not kept and why",
        )
    if obstacle is not None:
        return obstacle
    sync = f"`memfis sync --site {site.name}`"
    if entry is None:
        return Obstacle(path, UNREAD, sync)
    if not entry.flags & NO_PAGE:
        return Obstacle(
            path,
            LOST,
            f"the agent puts it back within half a minute, {sync} at once; `memfis doctor` says"
            " how much memory all pages need",
        )
    if entry.racy and entry.size <= site.max_page:
        return Obstacle(path, "it was open for writing", "it is read when that is closed")
    return Obstacle(path, too_large(path, site.max_page).reason, "raise the site's 'max_page'")
