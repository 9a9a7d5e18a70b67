"""The contents of files, as their items in the store have them."""

import errno

from memfis.errors import MemfisError
from memfis.filesystem.items import Items, failure
from memfis.filesystem.nodes import Content, Node
from memfis.filesystem.rules import Rules
from memfis.layout.pages import NO_PAGE, Page, content_of
from memfis.layout.paths import shown
from memfis.store import Answer, Request
from memfis.store import exchange as to

OVERHEAD = 512
"""Bytes of an item that are not its value: at most, with the longest key."""


class Contents:
    """Reads the items of files."""

    def __init__(self, items: Items, rules: Rules) -> None:
        """Read from `items`, where `rules` keep them."""
        self._items = items
        self._rules = rules
        self._item_limit = 0

    @property
    def limit(self) -> int:
        """How many bytes a file may have."""
        if not self._item_limit:
            self._item_limit = self._items.statistics().item_limit
        return self._item_limit - OVERHEAD

    def check_size(self, size: int) -> None:
        """Raise EFBIG when no file may have `size` bytes."""
        if size > self.limit:
            raise failure(errno.EFBIG, f"an item holds {self.limit} bytes at most")

    def load(self, node: Node) -> Content:
        """Return the content of the file `node`; raises EIO when the store has lost it."""
        if node.content is None:
            found = self.fetch(node)
            if found is None:
                raise failure(errno.EIO, f"the store has lost {shown(node.name)}")
            return _taken(node, found)
        return node.content

    def fetching(self, node: Node) -> Request:
        """Return what asks for the content of `node` where its record has it; see `take`."""
        return to.fetch(self._rules.key(node.place.path, node.name, node.recorded.flags))

    def take(self, node: Node, found: Answer) -> None:
        """Give `node` the content that was found; raises EIO when it is damaged."""
        _taken(node, Page(found.value, found.flags))

    def load_if_open(self, node: Node) -> None:
        """Load what an open file can still be asked for when its name is gone."""
        if node.handles and not node.is_link:
            self.load(node)

    def fetch(self, node: Node) -> Page | None:
        """Return the stored form of `node`, wherever an interrupted change has left it."""
        path, flags = node.place.path, node.recorded.flags
        for each in (flags, flags ^ NO_PAGE):
            [found] = self._items.exchange(to.fetch(self._rules.key(path, node.name, each)))
            if found.done:
                return Page(found.value, found.flags)
        return None


def _taken(node: Node, page: Page) -> Content:
    try:
        node.content = Content(content_of(page))
    except MemfisError as error:
        raise failure(errno.EIO, str(error)) from error
    return node.content
