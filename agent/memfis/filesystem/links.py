"""Symbolic links: each is published under its own name while what it points to may be served."""

import errno
import logging
from contextlib import suppress
from typing import TypeGuard

from msgspec.structs import replace

from memfis.filesystem.contents import Contents
from memfis.filesystem.items import Items, failure
from memfis.filesystem.nodes import Node
from memfis.filesystem.recorder import Recorder
from memfis.filesystem.rules import Rules
from memfis.filesystem.shared_site import ATTEMPTS, SharedSite
from memfis.filesystem.tree import Tree, split
from memfis.filesystem.ways import Ways
from memfis.layout.compression import Compression
from memfis.layout.pages import NO_PAGE, Page, make_page
from memfis.store import exchange as to

log = logging.getLogger(__name__)

DEPTH = 40
"""Links on the way to one file before it is a circle (path_resolution(7))."""


class Links:
    """Publishes the links of a site, anew whenever a name on the way of one changes."""

    def __init__(
        self,
        items: Items,
        tree: Tree,
        recorder: Recorder,
        rules: Rules,
        contents: Contents,
        shared: SharedSite,
        ways: Ways,
        compression: Compression,
    ) -> None:
        """Publish the links of `tree` with the `contents` of what they point to, by `recorder`.

        Their ways are kept in `ways`; other mounts are told of them by `shared`.
        """
        self._items = items
        self._tree = tree
        self._recorder = recorder
        self._rules = rules
        self._contents = contents
        self._compression = compression
        self._shared = shared
        self._ways = ways

    def follow_all(self, paths: list[bytes]) -> None:
        """Follow the links at `paths`, which are all that there are.

        Publish what is not as it should be: another mount may have changed what a link points to
        before it found that link.
        """
        self._ways.clear()
        for above in {split(path)[0] for path in paths}:
            with suppress(FileNotFoundError, NotADirectoryError):  # gone since
                self._tree.directory(above, now=True)
        for path in sorted(paths):
            self._refresh(path)

    def add(self, path: bytes) -> None:
        """Publish the new link at `path`."""
        self._refresh(path)

    def forget(self, path: bytes) -> None:
        """Forget the link at `path`, which is gone."""
        self._ways.forget(path)

    def tell(self) -> None:
        """Tell other mounts that there is a link more, or one less."""
        self._shared.count_link()

    def changed(self, path: bytes) -> None:
        """Follow every link anew whose way leads over the name `path`."""
        for link in self._ways.over(path):
            self._refresh(link)

    def changed_below(self, path: bytes) -> None:
        """Follow every link anew whose way leads over `path`, or a name below it."""
        for link in self._ways.over_or_below(path):
            self._refresh(link)

    def moved(self, old: bytes, new: bytes) -> None:
        """Follow the links below `old`, without a `/` at the end, from their places below `new`."""
        for path in self._ways.below(old):
            self._ways.forget(path)
            self._resolve(new + path[len(old) :])

    def _resolve(self, path: bytes) -> Node | None:
        """Return the regular file that the link at `path` leads to, and note the way there."""
        names = {path}
        found = self._follow(path, names)
        self._ways.note(path, names)
        return found

    def _follow(self, path: bytes, names: set[bytes]) -> Node | None:
        pending = path.split(b"/")[:0:-1]
        here: list[bytes] = []
        for _ in range(DEPTH * 256):
            while pending and pending[-1] in (b"", b"."):
                pending.pop()
            if not pending:
                return None
            name = pending.pop()
            if name == b"..":
                if not here:
                    return None  # out of the site
                here.pop()
                continue
            passed = b"/" + b"/".join([*here, name])
            names.add(passed)
            node = self._there(passed)
            if node is None:
                return None
            if node.is_link:
                target = (node.entry.target or "").encode("latin-1")
                if target.startswith(b"/") or len(names) > DEPTH * 8:
                    return None  # a path of the host that made it, or a circle
                pending += target.split(b"/")[::-1]
            elif node.is_directory:
                here.append(name)
            else:
                return None if any(pending) else node
        return None

    def _there(self, path: bytes) -> Node | None:
        """Return the node at `path`; None also where the store has lost the directory it is in."""
        try:
            return self._tree.exists(path)
        except OSError as error:
            if error.errno != errno.EIO or self._items.away:
                raise
            return None

    def _refresh(self, path: bytes) -> None:
        for _ in range(ATTEMPTS):
            node = self._there(path)
            if node is None or not node.is_link or node.directory is None:
                self.forget(path)
                return
            file = self._resolve(path)
            if self._is_served(file, node):
                done = self._publish(node, file)
            else:
                done = self._withdraw(node)
            if done:
                return
        raise failure(errno.EIO, "others change what this link points to all the time")

    def _is_served(self, file: Node | None, link: Node) -> TypeGuard[Node]:
        """Whether `file`, and `link` that leads there, may be served."""
        return file is not None and (
            not file.unwritten and file.has_page and self._rules.is_public(link)
        )

    def _publish(self, link: Node, file: Node) -> bool:
        """Publish `link` with the content of `file`; False when another host came between."""
        if link.has_page and (link.entry.flags | NO_PAGE) == (file.entry.flags | NO_PAGE):
            return True  # it is there
        directory, place = link.place, file.place
        before = link.recorded, file.recorded
        try:
            self._recorder.look(directory, place)
        except FileNotFoundError:
            return False
        if (link.recorded, file.recorded) != before or link.directory is not directory:
            return False
        page = self._page(file) if file.directory is place and self._rules.is_public(file) else None
        if page is None:
            return self._withdraw(link)
        entry = replace(link.recorded, flags=page.flags)
        record = self._recorder.append(directory, [entry])
        key = self._rules.page_key(directory.path, link.name)
        look = self._recorder.looking(directory, place)
        written, stored, *seen = self._items.exchange(
            record, to.put(key, page.value, page.flags), *look.requests
        )
        if not self._recorder.appended(directory, record, written, [entry]):
            self._items.exchange(to.remove(key, stored.cas))
            return False
        link.record(entry)
        if not stored.done:
            log.error(
                "the store has no room for the page of link %s: %s", link.path, stored.refusal
            )
            return self._withdraw(link)
        if self._recorder.is_same(look, seen):
            return True
        if link.directory is not directory or link.recorded != entry:
            self._items.exchange(to.remove(key, stored.cas))
            return False
        if not self._rules.is_public(file) or not self._rules.is_public(link):
            return self._withdraw(link)
        return file.recorded == before[1]

    def _page(self, file: Node) -> Page | None:
        if file.content is not None and not file.content.dirty:
            return make_page(file.name, bytes(file.content.data), self._compression)
        return self._contents.fetch(file)

    def _withdraw(self, link: Node) -> bool:
        """Take the page of `link` away; False when another host came between."""
        if not link.has_page:
            return True
        directory = link.place
        entry = replace(link.recorded, flags=NO_PAGE)
        record = self._recorder.append(directory, [entry])
        key = self._rules.page_key(directory.path, link.name)
        _, written, there = self._items.exchange(to.remove(key), record, to.state(key))
        if not self._recorder.appended(directory, record, written, [entry]):
            directory.forget()
            return False
        link.record(entry)
        if there.done:  # whoever had recorded it before has put it there meanwhile
            self._tree.refresh(directory)
            if link.recorded == entry:
                self._items.exchange(to.remove(key, there.cas))
        return True
