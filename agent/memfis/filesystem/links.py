"""Symbolic links: each is published under its own name while what it points to may be served."""

import errno
import logging

from msgspec.structs import replace

from memfis.filesystem.contents import Contents
from memfis.filesystem.items import Items
from memfis.filesystem.nodes import Node
from memfis.filesystem.rules import Rules
from memfis.filesystem.shared_site import SharedSite
from memfis.filesystem.tree import Tree
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
        rules: Rules,
        contents: Contents,
        shared: SharedSite,
        ways: Ways,
        compression: Compression,
    ) -> None:
        """Publish the links of `tree` with the `contents` of what they point to.

        Their ways are kept in `ways`; other mounts are told of them by `shared`.
        """
        self._items = items
        self._tree = tree
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
        node = self._there(path)
        if node is None or not node.is_link or node.directory is None:
            self.forget(path)
            return
        file = self._resolve(path)
        page = self._page(node, file) if file else None
        if page is None:
            self._withdraw(node)
        else:
            self._publish(node, page)

    def _page(self, link: Node, file: Node) -> Page | None:
        """Return the page of `file` if it and the link may be served."""
        if file.unwritten or not file.has_page or not self._rules.is_public(link):
            return None
        if link.has_page and (link.entry.flags | NO_PAGE) == (file.entry.flags | NO_PAGE):
            return Page(b"", file.entry.flags)  # it is there
        if file.content is not None and not file.content.dirty:
            return make_page(file.name, bytes(file.content.data), self._compression)
        return self._contents.fetch(file)

    def _publish(self, link: Node, page: Page) -> None:
        if link.has_page and link.entry.flags == page.flags:
            return
        directory = link.directory
        assert directory is not None
        entry = replace(link.entry, flags=page.flags)
        record = self._tree.append(directory, [entry])
        key = self._rules.page_key(directory.path, link.name)
        written, stored = self._items.exchange(record, to.put(key, page.value, page.flags))
        self._tree.appended(directory, record, written, 1)
        link.entry = entry
        if not stored.done:
            log.error(
                "the store has no room for the page of link %s: %s", link.path, stored.refusal
            )
            self._withdraw(link)

    def _withdraw(self, link: Node) -> None:
        if not link.has_page:
            return
        directory = link.directory
        assert directory is not None
        entry = replace(link.entry, flags=NO_PAGE)
        record = self._tree.append(directory, [entry])
        key = self._rules.page_key(directory.path, link.name)
        _, written = self._items.exchange(to.remove(key), record)
        self._tree.appended(directory, record, written, 1)
        link.entry = entry
