"""The web root: what of it nginx's user could read, a directory at a time."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

from memfis.errors import UsageError
from memfis.layout.keys import KEY_LIMIT, longest_key, page_keys, page_path
from memfis.layout.records import Entry
from memfis.service.sandbox import hidden_here
from memfis.settings.values import Site
from memfis.webroot.content import Files, kind_of
from memfis.webroot.exclusions import Exclusions, is_refused
from memfis.webroot.links import names_on_the_way, places_on_the_way
from memfis.webroot.listing import Ancestor, Directory, Link, Listing, Problem, Skipped
from memfis.webroot.reader import READ, SEARCH, Reader

EXPANSION = 3
"""A byte of a name takes at most so many in a key (`%XX`)."""


class _Child(Protocol):
    """What is needed of an `os.DirEntry`."""

    @property
    def name(self) -> bytes: ...
    @property
    def path(self) -> bytes: ...
    def is_dir(self) -> bool: ...
    def is_symlink(self) -> bool: ...
    def stat(self) -> os.stat_result: ...


class _Named:
    """One name in a directory that is not listed."""

    def __init__(self, directory: bytes, name: bytes) -> None:
        self.name = name
        self.path = os.path.join(directory, name)

    def is_dir(self) -> bool:
        return os.path.isdir(self.path)

    def is_symlink(self) -> bool:
        return os.path.islink(self.path)

    def stat(self) -> os.stat_result:
        return os.stat(self.path)


class WebRoot:
    """A site's directory on disk, seen with the rights of nginx's user."""

    def __init__(self, site: Site) -> None:
        """Check the web root of `site`; raises UsageError when it cannot be one."""
        self._site = site
        self._index = site.index_name
        self._exclusions = Exclusions(site.exclude)
        self.reader = Reader.called(site.reader)
        self.given = os.fsencode(site.root)
        self.root = self._checked_root()
        self._below = self.root.rstrip(b"/") + b"/"

    def _checked_root(self) -> bytes:
        shown = os.fsdecode(self.given)
        try:
            root = os.path.realpath(self.given, strict=True)
            if not stat.S_ISDIR(os.stat(root).st_mode):
                raise UsageError(f"web root {shown}: not a directory")
            os.scandir(root).close()
            closed = self._closed_directory(b"/", root)
            mode = stat.filemode(os.stat(closed).st_mode) if closed else ""
        except OSError as error:
            raise self._missing(error) from error
        if closed:
            raise UsageError(
                f"web root {shown}: nginx's user {self.reader.name} may not enter"
                f" {os.fsdecode(closed)} ({mode}); nginx could serve nothing of it"
            )
        return root

    def _missing(self, error: OSError) -> UsageError:
        """Return what to raise where the web root cannot be reached; a unit may hide it."""
        hidden = hidden_here(places_on_the_way(self.given))
        why = f"{error.strerror}; {hidden}" if hidden else error.strerror
        return UsageError(f"web root {os.fsdecode(self.given)}: {why}")

    def _closed_directory(self, above: bytes, directory: bytes) -> bytes | None:
        """Return the first directory from `above` down to `directory` that the reader cannot enter.

        Both are absolute and free of links.
        """
        steps = [directory]
        while steps[-1] != above and steps[-1] != b"/":
            steps.append(os.path.dirname(steps[-1]))
        for step in reversed(steps):
            if not self.reader.may(SEARCH, step, os.stat(step)):
                return step
        return None

    def top(self) -> Directory:
        """Return the directory of `/`; raises UsageError when it is gone."""
        try:
            status = os.stat(self.root)
        except OSError as error:
            raise self._missing(error) from error
        return Directory(b"/", self.root, (Ancestor(status.st_dev, status.st_ino),))

    def directory(self, path: bytes) -> Directory | None:
        """Return the directory at URL path `path` (ends with `/`) if it is published now."""
        try:
            here = self.top()
            for name in path.split(b"/")[1:-1]:
                listing = Listing(here.path)
                self._add(listing, _Named(here.disk, name), here)
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
        try:
            with os.scandir(directory.disk) as names:
                children = sorted(names, key=lambda child: child.name)
        except (FileNotFoundError, NotADirectoryError):
            listing.is_gone = True
            return listing
        except OSError as error:
            listing.problems.append(Problem(listing.path, f"cannot be listed: {error.strerror}"))
            return listing
        room = (KEY_LIMIT - longest_key(self._site.name, directory.path)) // EXPANSION
        fit = self._exclusions.leaves_out_none([child.name for child in children])
        for child in children:
            try:
                if not fit or not self._add_plain(listing, child, room, recorded):
                    self._add(listing, child, directory)
            except OSError as error:
                if not isinstance(error, FileNotFoundError) or child.is_symlink():
                    path = listing.path + child.name
                    listing.problems.append(Problem(path, _link_reason(error)))
        return listing

    def _add_plain(
        self,
        listing: Listing,
        child: "os.DirEntry[bytes]",
        room: int,
        recorded: Mapping[str, Entry],
    ) -> bool:
        """Put `child`, whose name is fit, into `listing` if it certainly may be published.

        That is a regular file of a name of `room` bytes at most that nginx's user reads by its mode
        bits: nearly every one, and nothing else needs to be asked about it.
        """
        name = child.name
        if len(name) > room or not child.is_file(follow_symlinks=False):
            return False
        status = child.stat(follow_symlinks=False)
        if not self.reader.certainly_reads(child.path, status):
            return False
        text = name.decode("latin-1")
        old = recorded.get(text)
        if old is not None and old.is_as(status):
            listing.entries[text] = old
            return True
        listing.entries[text] = Entry(
            text,
            status.st_mode,
            status.st_size,
            status.st_mtime_ns,
            status.st_uid,
            status.st_gid,
        )
        return True

    def _add(self, listing: Listing, child: _Child, parent: Directory) -> None:
        """Put what `child` publishes into `listing`, or the reason why it does not."""
        name = child.name
        is_directory = child.is_dir()
        linked = child.is_symlink()
        if self._exclusions.leave_out(parent.path, name, is_directory):
            listing.skipped.append(Skipped(parent.path + name, "excluded"))
            return
        if linked:
            listing.links.append(_link(child))
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
        listing.entries[text] = Entry(
            text,
            status.st_mode,
            0 if is_directory else status.st_size,
            status.st_mtime_ns,
            status.st_uid,
            status.st_gid,
        )
        if is_directory:
            here = Ancestor(status.st_dev, status.st_ino, linked)
            path = parent.path + name + b"/"
            listing.below.append(Directory(path, child.path, (*parent.ancestors, here)))

    def _obstacle(self, child: _Child, parent: Directory, status: os.stat_result) -> str | None:
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

    def _link_obstacle(
        self, child: _Child, parent: Directory, status: os.stat_result
    ) -> str | None:
        target = os.path.realpath(child.path, strict=True)
        if target != self.root and not target.startswith(self._below):
            return f"symbolic link out of the web root, to {os.fsdecode(target)}"
        if any((status.st_dev, status.st_ino) == each[:2] for each in parent.ancestors):
            return "circular symbolic link"
        directory, _, name = target[len(self._below) - 1 :].rpartition(b"/")
        if any(
            is_refused(b"/" if depth == 0 else b"/x/", part)
            for depth, part in enumerate([*directory.split(b"/")[1:], name])
        ):
            return f"symbolic link to a name that is never served, {os.fsdecode(target)}"
        closed = self._closed_directory(self.root, os.path.dirname(target))
        if closed:
            return f"nginx's user {self.reader.name} may not enter {os.fsdecode(closed)}"
        return None

    def files(self, path: bytes) -> Files:
        """Return the files of the directory at URL path `path`, to be read; raises OSError."""
        return Files(self.root, self.reader, path)

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


def _link(child: _Child) -> Link:
    way = tuple(os.path.join(*step) for step in names_on_the_way(child.path))
    return Link(child.name, way, os.path.realpath(child.path))


def _link_reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "dangling symbolic link"
    if error.errno == errno.ELOOP:
        return "circular symbolic link"
    return error.strerror or str(error)
