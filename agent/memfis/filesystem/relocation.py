"""A key holds the whole path, so what gets another name moves in the store."""

import errno

from msgspec.structs import replace

from memfis.errors import MemfisError
from memfis.filesystem.contents import Contents
from memfis.filesystem.items import Items, failure
from memfis.filesystem.links import Links
from memfis.filesystem.moving import Mover
from memfis.filesystem.nodes import Content, Directory, Node
from memfis.filesystem.rules import Rules
from memfis.filesystem.saves import Saves
from memfis.filesystem.tree import Tree, split
from memfis.layout.pages import NO_PAGE, Page, content_of
from memfis.layout.paths import shown
from memfis.layout.records import MOVING, Entry, tombstone
from memfis.store import exchange as to


class Relocation:
    """Gives nodes of one tree other names, and moves what the store has of them."""

    def __init__(
        self,
        items: Items,
        tree: Tree,
        rules: Rules,
        contents: Contents,
        saves: Saves,
        links: Links,
        mover: Mover,
    ) -> None:
        """Rename in `tree`, and in `items` what belongs to it; `mover` moves directories."""
        self._items = items
        self._tree = tree
        self._rules = rules
        self._contents = contents
        self._saves = saves
        self._links = links
        self._mover = mover

    def replace_file(self, node: Node, target: Node | None, new: bytes) -> None:
        """Give the file or link `node` the path `new`, which `target` has had."""
        if target is not None:
            self._contents.load_if_open(target)
        self._replace(node, target, new)
        if target is not None and target.is_link:
            self._links.forget(new)
        if node.is_link or (target is not None and target.is_link):
            self._links.tell()
        if node.is_link:
            self._links.add(new)

    def _replace(self, node: Node, target: Node | None, new: bytes) -> None:
        old_directory = node.place
        old = node.path
        above, name = split(new)
        directory = self._tree.directory(above)
        if node.unwritten:  # nothing of it is in the store
            if target is not None:
                self._saves.delete(target)
            old_directory.take_out(node)
            self._name(node, directory, name)
            return
        if node.is_link:
            self._move_link(node, old_directory, directory, name)
        else:
            self._move_file(node, target, old_directory, directory, name)
        if target is not None:
            directory.take_out(target)
            self._saves.unsaved.pop(target, None)
        self._take_out(node, old_directory, old)
        self._name(node, directory, name)

    def _move_file(
        self, node: Node, target: Node | None, old: Directory, new: Directory, name: bytes
    ) -> None:
        page = self._contents.fetch(node)
        before = self._contents.fetch(target) if target and not target.is_link else None
        if page is None:
            raise failure(errno.EIO, f"the store has lost {shown(node.name)}")
        public = (
            self._rules.fit(new.path, name, is_directory=False)
            and self._rules.open_to_visitors(node.entry)
            and self._rules.is_public_directory(new)
        )
        flags = page.flags if public else page.flags | NO_PAGE
        entry = replace(node.entry, name=name.decode("latin-1"), flags=flags)
        record = self._tree.append(new, [entry])
        put = to.put(self._rules.key(new.path, name, flags), page.value, page.flags)
        other = to.remove(self._rules.key(new.path, name, flags ^ NO_PAGE))
        if public:
            written, stored, *_ = self._items.exchange(record, put, other)
        else:
            _, written, stored = self._items.exchange(other, record, put)
        self._tree.appended(new, record, written, 1)
        if not stored.done:
            [stored] = self._items.exchange(put)
        if not stored.done:
            self._undo(target, before, new, name)
            raise failure(errno.ENOSPC, stored.refusal)
        node.entry = replace(node.entry, flags=flags)
        keys = (
            self._rules.page_key(old.path, node.name),
            self._rules.private_key(old.path, node.name),
        )
        gone = self._tree.append(old, [tombstone(node.entry.name)])
        *_, written = self._items.exchange(*map(to.remove, keys), gone)
        self._tree.appended(old, gone, written, 1)

    def _undo(self, target: Node | None, before: Page | None, new: Directory, name: bytes) -> None:
        """Hold what the store deleted when it had no room for what should replace it."""
        if target is None:
            self._tree.record(new, tombstone(name.decode("latin-1")))
            return
        if before is not None and target.content is None:
            try:
                target.content = Content(content_of(before))
            except MemfisError:
                return  # it was broken before
        if target.content is not None:
            target.content.dirty = True
            self._saves.unsaved[target] = "overwritten by what the store had no room for"

    def _move_link(self, node: Node, old: Directory, new: Directory, name: bytes) -> None:
        entry = replace(node.entry, name=name.decode("latin-1"), flags=NO_PAGE)
        keys = [self._rules.page_key(new.path, name), self._rules.private_key(new.path, name)]
        record = self._tree.append(new, [entry])
        *_, written = self._items.exchange(*map(to.remove, keys), record)
        self._tree.appended(new, record, written, 1)
        gone = self._tree.append(old, [tombstone(node.entry.name)])
        page = to.remove(self._rules.page_key(old.path, node.name))
        _, written = self._items.exchange(page, gone)
        self._tree.appended(old, gone, written, 1)
        node.entry = replace(node.entry, flags=NO_PAGE)

    def move_directory(self, node: Node, new: bytes) -> None:
        """Give the directory `node` the path `new`, which nothing has, or an empty directory.

        That one's item stays, and is filled: whatever interrupts this, its name can be looked into.
        """
        old_directory, old = node.place, node.path
        above, name = split(new)
        directory = self._tree.directory(above)
        self._mover.check(old + b"/", new + b"/")
        entry = replace(node.entry, name=name.decode("latin-1"))
        origin = {**(entry.extended or {}), MOVING: old.decode("latin-1")}
        self._tree.record(directory, replace(entry, extended=origin))
        self._move_below(old, new, entry, directory)
        self._tree.record(old_directory, tombstone(node.entry.name))
        self._tree.record(directory, entry)  # what says where it came from goes last
        self._take_out(node, old_directory, old)
        self._tree.drop(new + b"/")
        self._tree.move(old + b"/", new + b"/")
        self._name(node, directory, name)
        self._links.moved(old, new)

    def _move_below(self, old: bytes, new: bytes, entry: Entry, directory: Directory) -> None:
        """Move what is below `old` to `new`, the directory `entry` in `directory`."""
        public = (
            self._rules.fit(directory.path, entry.raw, is_directory=True)
            and self._rules.open_to_visitors(entry)
            and self._rules.is_public_directory(directory)
        )
        self._mover.move(old + b"/", new + b"/", public=public)

    @staticmethod
    def is_begun(old: bytes, entry: Entry) -> bool:
        """Whether a move from `old` to the directory `entry` was interrupted."""
        return (entry.extended or {}).get(MOVING) == old.decode("latin-1")

    def take_up(self, directory: bytes, entry: Entry) -> None:
        """Go on with an interrupted move to the directory `entry` in `directory`."""
        extended = dict(entry.extended or {})
        old = extended.pop(MOVING).encode("latin-1")
        place = self._tree.directory(directory)
        done = replace(entry, extended=extended or None)
        self._move_below(old, directory + entry.raw, done, place)
        above, name = split(old)
        source = self._tree.exists(old)
        if source is not None:
            parent = self._tree.directory(above)
            self._tree.record(parent, tombstone(name.decode("latin-1")))
            parent.take_out(source)
        self._tree.record(place, done)
        self._tree.forget_all()

    def expose_below(self, directory: Directory, *, again: bool) -> None:
        """Move the pages below `directory` to where its mode, or its place, wants them.

        `again`: that was begun and may have been interrupted.
        """
        public = self._rules.is_public_directory(directory)
        self._mover.expose(directory.path, public=public, again=again)
        self._tree.forget_below(directory.path)
        path = directory.path.rstrip(b"/")
        self._links.changed_below(path)

    def _take_out(self, node: Node, directory: Directory, old: bytes) -> None:
        if node.is_link:
            self._links.forget(old)
        directory.take_out(node)

    def _name(self, node: Node, directory: Directory, name: bytes) -> None:
        node.name = name
        node.entry = replace(node.entry, name=name.decode("latin-1"))
        node.fit = self._rules.fit(directory.path, name, is_directory=node.is_directory)
        directory.add(node)
        self._tree.moved(node)
