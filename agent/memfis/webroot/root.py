"""The web root: what of it nginx's user could read, a directory at a time."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from memfis.errors import MissingRootError, RootError, UsageError
from memfis.layout.keys import KEY_LIMIT, longest_key, page_keys, page_path
from memfis.layout.paths import shown
from memfis.layout.records import Entry
from memfis.settings.values import Site
from memfis.webroot.child import Child, Named, entry_of, link_of, note_failed
from memfis.webroot.content import Files, kind_of
from memfis.webroot.exclusions import Exclusions
from memfis.webroot.inodes import devices_with_made_up_inodes
from memfis.webroot.listing import Ancestor, Directory, Listing, Problem, Skipped
from memfis.webroot.place import CLOSED, MISSING, closed_on_the_way, find_root, root_error
from memfis.webroot.reader import READ, SEARCH, Reader
from memfis.webroot.way import Bounds, Tree

EXPANSION = 3
"""A byte of a name takes at most so many in a key (`%XX`)."""


class WebRoot:
    """A site's directory on disk, seen with the rights of nginx's user."""

    def __init__(self, site: Site, *, even_missing: bool = False) -> None:
        """Find the web root of `site`; raises UsageError, see `find_root`.

        `even_missing`: where nothing is there, take it for one that is closed.
        """
        self._site = site
        self._index = site.index_name
        self._exclusions = Exclusions.of(site)
        self.reader = Reader.called(site.reader)
        self.given = os.fsencode(site.root)
        self.closed: RootError | None
        try:
            self.root, self.closed = find_root(self.given, self.reader)
        except MissingRootError as error:
            if not even_missing:
                raise
            self.root, self.closed = self.given, error
        """`closed`: why nobody can be served anything of it; it publishes nothing then."""
        self.trusts_records = True
        """A file that is as its record says may be read by nginx's user, whose rights are the same
        as when the record was made."""
        self._below = self.root.rstrip(b"/") + b"/"
        self._misled: list[Problem] = []
        trees = () if self.closed else tuple(self._find_trees())
        self._bounds = Bounds(trees, self.reader, self._exclusions.refused)
        self._made_up = devices_with_made_up_inodes()

    def _find_trees(self) -> list[Tree]:
        """Return the web root, and what links may lead into that is there; raises RootError."""
        try:
            trees = [Tree.at(self.root)]
        except OSError as error:  # it went just now
            raise MissingRootError(f"web root {shown(self.given)}: {error.strerror}") from error
        for path in map(os.fsencode, self._site.follow):
            try:
                if closed_on_the_way(path, self.reader) is not None:
                    continue
                tree = Tree.at(os.path.realpath(path, strict=True))
            except OSError:
                continue  # a link that leads there is told as one that leads nowhere
            if tree.holds(self.root) or trees[0].holds(tree.path):
                leads = f"follow {shown(path)}: leads to {shown(tree.path)}"
                why = f"{leads}, which holds the web root or is in it"
                self._misled.append(Problem(b"/", why))
            else:
                trees.append(tree)
        return trees

    def check_open(self) -> None:
        """Raise what is wrong when nobody can be served anything of the web root."""
        if self.closed is not None:
            raise self.closed

    def top(self) -> Directory:
        """Return the directory of `/`; raises RootError when it is gone, or cannot be looked at."""
        if self.closed is not None:
            return Directory(b"/", self.root, ())
        try:
            status = os.stat(self.root)
        except OSError as error:
            raise root_error(self.given, error) from error
        return Directory(b"/", self.root, (Ancestor(status.st_dev, status.st_ino),))

    def directory(self, path: bytes) -> Directory | None:
        """Return the directory at URL path `path` (ends with `/`) if it is published now.

        Of a web root that is closed that is `/` alone, which then has nothing in it.
        """
        if self.closed is not None and path != b"/":
            return None
        try:
            here = self.top()
            for name in path.split(b"/")[1:-1]:
                listing = Listing(here.path)
                self._add(listing, Named(here.disk, name), here)
                if not listing.below:
                    return None
                [here] = listing.below
        except (OSError, UsageError):
            return None
        return here

    def walk(self) -> Iterator[Listing]:
        """Yield a listing for every published directory, parents before children."""
        pending = [self.top()]
        while pending:
            listing = self.listing(pending.pop())
            yield listing
            pending += reversed(listing.below)

    def listing(
        self, directory: Directory, recorded: Mapping[str, Entry] = MappingProxyType({})
    ) -> Listing:
        """Return what `directory` publishes; one that cannot be listed has a problem in it.

        A file that is as one of the `recorded` entries says is in it as that very entry.
        """
        listing = Listing(directory.path)
        if directory.path == b"/":
            listing.problems += self._misled
        children = self._children(directory, listing)
        room = (KEY_LIMIT - longest_key(self._site.name, directory.path)) // EXPANSION
        fit = self._exclusions.leaves_out_none([child.name for child in children])
        made_up = bool(children) and directory.ancestors[-1].device in self._made_up
        for child in children:
            try:
                if fit and self._add_plain(listing, child, room, recorded, made_up):
                    continue
                self._add_or_withhold(listing, child, directory)
            except OSError as error:
                note_failed(listing, child, error)
        return listing

    def look(self, directory: Directory, names: Iterable[bytes]) -> Listing:
        """Return what `directory` publishes of `names`, as `listing` does, and ask for no other."""
        listing = Listing(directory.path)
        self._children(directory, listing)
        if listing.is_gone or listing.is_closed or listing.is_broken:
            return listing
        for name in names:
            child = Named(directory.disk, name)
            try:
                self._add_or_withhold(listing, child, directory)
            except OSError as error:
                note_failed(listing, child, error)
        return listing

    def _children(self, directory: Directory, listing: Listing) -> "list[os.DirEntry[bytes]]":
        """Return what is in `directory`; where that is not known, say why in `listing`."""
        if self.closed is not None:
            listing.is_closed = True
            listing.problems.append(Problem(listing.path, str(self.closed)))
            return []
        try:
            with os.scandir(directory.disk) as names:
                return sorted(names, key=lambda child: child.name)
        except OSError as error:
            if error.errno in MISSING:
                listing.is_gone = True
                return []
            listing.is_closed = error.errno in CLOSED
            listing.is_broken = not listing.is_closed
            listing.problems.append(Problem(listing.path, f"cannot be listed: {error.strerror}"))
            return []

    def _add_plain(
        self,
        listing: Listing,
        child: "os.DirEntry[bytes]",
        room: int,
        recorded: Mapping[str, Entry],
        made_up: bool,
    ) -> bool:
        """Put `child`, whose name is fit, into `listing` if it certainly may be published.

        That is a regular file of a name of `room` bytes at most that nginx's user reads by its mode
        bits: nearly every one, and nothing else needs to be asked about it. An ACL is not asked for
        again where the file is as it was: a new one leaves another time of change.
        """
        name = child.name
        if len(name) > room or not child.is_file(follow_symlinks=False):
            return False
        status = child.stat(follow_symlinks=False)
        text = name.decode("latin-1")
        old = recorded.get(text)
        inode = 0 if made_up else status.st_ino
        if (
            old is not None
            and old.is_as(status, inode)
            and self.trusts_records
            and self.reader.reads_by_mode(status)
        ):
            listing.entries[text] = old
            return True
        if not self.reader.certainly_reads(child.path, status):
            return False
        listing.entries[text] = entry_of(text, status, inode)
        return True

    def _add_or_withhold(self, listing: Listing, child: Child, parent: Directory) -> None:
        self._add(listing, child, parent)
        if child.name.decode("latin-1") not in listing.entries:
            listing.withheld.add(child.name.decode("latin-1"))

    def _add(self, listing: Listing, child: Child, parent: Directory) -> None:
        """Put what `child` publishes into `listing`, or the reason why it does not."""
        name = child.name
        is_directory = child.is_dir()
        linked = child.is_symlink()
        if self._exclusions.leave_out(parent.path, name, is_directory):
            listing.skipped.append(Skipped(parent.path + name, "excluded"))
            return
        if linked:
            listing.links.append(link_of(child))
            if is_directory and any(each.linked for each in parent.ancestors):
                # following links from links could multiply a small tree without end
                why = "linked directory in a linked directory"
                listing.skipped.append(Skipped(parent.path + name, why))
                return
        status = child.stat()
        reason = self._obstacle(child, parent, status)
        if reason:
            listing.problems.append(Problem(parent.path + name, reason))
            return
        text = name.decode("latin-1")
        listing.entries[text] = entry_of(
            text, status, 0 if status.st_dev in self._made_up else status.st_ino
        )
        if is_directory:
            here = Ancestor(status.st_dev, status.st_ino, linked)
            path = parent.path + name + b"/"
            listing.below.append(Directory(path, child.path, (*parent.ancestors, here)))

    def _obstacle(self, child: Child, parent: Directory, status: os.stat_result) -> str | None:
        """Return why `child` may not be published, None when it may."""
        is_directory = stat.S_ISDIR(status.st_mode)
        if not is_directory and not stat.S_ISREG(status.st_mode):
            return f"not a regular file but a {kind_of(status.st_mode)}"
        length = longest_key(self._site.name, parent.path + child.name)
        if length > KEY_LIMIT:
            return f"key too long: {length} bytes, {KEY_LIMIT} at most"
        if child.is_symlink():
            reason = self._link_obstacle(child, parent, status)
            if reason:
                return reason
        if not self.reader.may(SEARCH if is_directory else READ, child.path, status):
            mode = stat.filemode(status.st_mode)
            return f"not readable for nginx's user {self.reader.name} ({mode})"
        return None

    def _link_obstacle(self, child: Child, parent: Directory, status: os.stat_result) -> str | None:
        target = os.path.realpath(child.path, strict=True)
        if self._bounds.tree_of(target) is None:
            return f"symbolic link out of the web root, to {shown(target)}"
        if any((status.st_dev, status.st_ino) == each[:2] for each in parent.ancestors):
            return "circular symbolic link"
        is_directory = stat.S_ISDIR(status.st_mode)
        if self._bounds.refuse(target, is_directory=is_directory):
            return f"symbolic link to a name that is never served, {shown(target)}"
        closed = closed_on_the_way(child.path, self.reader)
        if closed:
            return f"nginx's user {self.reader.name} may not enter {shown(closed)}"
        return None

    def files(self, path: bytes, *, while_written: bool = False) -> Files:
        """Return the files of the directory at URL path `path`, to be read; raises OSError.

        `while_written`: also those that somebody has open for writing.
        """
        if self.closed is not None:
            raise PermissionError(errno.EACCES, str(self.closed))
        return Files(self._bounds, path, while_written=while_written)

    def url(self, directory: bytes, name: bytes) -> bytes:
        """Return the URL path that the file `name` in `directory` is stored for."""
        return page_path(directory, name, self._index)

    def keys(self, directory: bytes, names: Iterable[bytes]) -> list[bytes]:
        """Return the keys of the pages of the files `names` in `directory`."""
        return page_keys(self._site.name, directory, names, self._index)

    def url_path(self, disk: bytes) -> bytes | None:
        """Return the URL path of the directory `disk` below the web root, None when it is not."""
        below = disk.rstrip(b"/") + b"/"
        return below[len(self._below) - 1 :] if below.startswith(self._below) else None
