"""Files and links that get other names: a key holds the whole path, so their items move."""

import errno
from collections.abc import Mapping

from msgspec.structs import replace as with_fields

from memfis.errors import MemfisError
from memfis.filesystem.contents import Contents
from memfis.filesystem.exposing import Exposing
from memfis.filesystem.items import Items, failure
from memfis.filesystem.links import Links
from memfis.filesystem.nodes import Content, Directory, Node
from memfis.filesystem.recorder import Found, Recorder
from memfis.filesystem.rules import Rules
from memfis.filesystem.saves import Saves
from memfis.filesystem.tree import Tree, split
from memfis.layout.pages import NO_PAGE, Page, content_of
from memfis.layout.records import tombstone
from memfis.store import Request
from memfis.store import exchange as to


class FileMoves:
    """Gives files and links of one tree other names, and moves what the store has of them."""

    def __init__(
        self,
        items: Items,
        tree: Tree,
        recorder: Recorder,
        rules: Rules,
        contents: Contents,
        exposing: Exposing,
        saves: Saves,
        links: Links,
    ) -> None:
        """Rename in `tree`, and in `items` what belongs to it."""
        self._items = items
        self._tree = tree
        self._recorder = recorder
        self._rules = rules
        self._contents = contents
        self._exposing = exposing
        self._saves = saves
        self._links = links

    def replace(self, node: Node, target: Node | None, new: bytes) -> None:
        """Give the file or link `node` the path `new`, which `target` has had."""
        if target is not None:
            self._contents.load_if_open(target)
        self._rename(node, target, new)
        if target is not None and target.is_link:
            self._links.forget(new)
        if node.is_link or (target is not None and target.is_link):
            self._links.tell()
        if node.is_link:
            self._links.add(new)

    def _rename(self, node: Node, target: Node | None, new: bytes) -> None:
        old_directory = node.place
        old = node.path
        above, name = split(new)
        directory = self._tree.directory(above)
        if node.unwritten:  # nothing of it is in the store
            if target is not None:
                self._saves.delete(target)
            old_directory.take_out(node)
            self._tree.give_name(node, directory, name)
            return
        left = self._move(node, old_directory, directory, name)
        target = directory.children.get(name)
        if target is not None:
            directory.take_out(target)
            self._saves.unsaved.pop(target, None)
        if node.is_link:
            self._links.forget(old)
        old_directory.take_out(node)
        self._tree.give_name(node, directory, name)
        if left:
            self._bring(node, left)
        if not node.is_link:
            self._exposing.settle(node)

    def _bring(self, node: Node, items: Mapping[bytes, int]) -> None:
        """Save what another host has put at the old name of the file `node` just now."""
        for key, cas in items.items():
            [found] = self._items.exchange(to.fetch(key))
            if found.cas == cas and not node.is_link and not node.dirty:
                node.content = Content(content_of(Page(found.value, found.flags)), dirty=True)
                self._saves.save(node)
            self._items.exchange(to.remove(key, cas))

    def _move(
        self, node: Node, old: Directory, new: Directory, name: bytes
    ) -> dict[bytes, int] | None:
        """Move records and items of the file or link `node` to the name `name` in `new`.

        Return what `Recorder.bury` has found at the old one.
        """
        copied = False
        placed: dict[bytes, int] = {}
        attempts = self._recorder.attempts(old, new)
        while True:
            try:
                next(attempts)
            except FileNotFoundError:
                if not copied:
                    raise
                # Another host has taken the new name away, with its directory.
                self._recorder.update(old, lambda: [tombstone(node.recorded.name)])
                return None
            if node.directory is not old:
                if copied:
                    return None  # removed by its old name: it has the new one
                raise failure(errno.ENOENT)
            there = new.children.get(name)
            if there is not None and there.is_directory:
                raise failure(errno.EISDIR)
            kept: dict[bytes, int] | None = {}
            if node.is_link:
                kept = self._copy_link(node, old, new, name)
            elif not copied or self._contents.fetch(node) is not None:
                kept = self._copy_file(node, there, new, name, placed)
            copied = copied or kept is not None
            if kept is not None:
                removals = [to.remove(key, cas) for key, cas in kept.items()]
                left = self._recorder.bury(node, old, removals)
                if left is not None:
                    return left

    def _copy_file(
        self,
        node: Node,
        target: Node | None,
        new: Directory,
        name: bytes,
        placed: dict[bytes, int],
    ) -> dict[bytes, int] | None:
        """Give a file another name; return its old items, with their CAS values.

        What is `placed` at the new name is noted there, for when this must be done once more.
        None when another host came between.
        """
        source = self._recorder.find(node, node.recorded.flags)
        over = Found(None, {})
        if target is not None and not target.is_link and source is not None:
            over = self._recorder.find(target, target.recorded.flags) or over
        if source is None:
            return None
        page, kept = source
        if page is None:
            self._exposing.check_moved(node)
            return None
        before, there = over.page, over.items | placed
        public = (
            self._rules.fit(new.path, name, is_directory=False)
            and self._rules.open_to_visitors(node.recorded)
            and self._rules.is_public_directory(new)
        )
        flags = page.flags if public else page.flags | NO_PAGE
        entry = node.recorded if node.dirty else node.entry
        entry = with_fields(entry, name=name.decode("latin-1"), flags=flags)
        if page.flags != node.recorded.flags & ~NO_PAGE:  # its record is of what is to come
            entry = with_fields(entry, size=len(content_of(page)))
        record = self._recorder.append(new, [entry])
        key = self._rules.key(new.path, name, flags)
        other_key = self._rules.key(new.path, name, flags ^ NO_PAGE)
        put = to.put(key, page.value, page.flags, cas=there.get(key, 0))
        other = [to.remove(other_key, there[other_key])] if other_key in there else []
        if target is not None and target.is_link and not public:
            other = [to.remove(other_key)]  # its page: what takes its place has none
        if public:
            written, stored, *removed = self._items.exchange(record, put, *other)
        else:
            *removed, written, stored = self._items.exchange(*other, record, put)
        try:
            done = self._recorder.appended(new, record, written, [entry])
        except OSError:
            self._items.exchange(to.remove(key, stored.cas))  # no page without a record
            raise
        if done and any(each.status == b"EX" for each in removed):
            self._items.exchange(to.remove(other_key))  # somebody wrote what is replaced by this
        if not done:
            if stored.done:
                self._items.exchange(_as_before(key, stored.cas, before if key in there else None))
            return None
        if not stored.done:
            put = to.put(key, page.value, page.flags)
            [stored] = self._items.exchange(put)
        if not stored.done:
            self._undo(target, before, new, name)
            raise failure(errno.ENOSPC, stored.refusal)
        placed.clear()
        placed[key] = stored.cas
        node.entry = with_fields(node.entry, flags=flags)
        return kept

    def _undo(self, target: Node | None, before: Page | None, new: Directory, name: bytes) -> None:
        """Hold what the store deleted when it had no room for what should replace it."""
        if target is None:
            self._recorder.update(new, lambda: [tombstone(name.decode("latin-1"))])
            return
        if before is not None and target.content is None:
            try:
                target.content = Content(content_of(before))
            except MemfisError:
                return  # it was broken before
        if target.content is not None:
            target.content.dirty = True
            self._saves.unsaved[target] = "overwritten by what the store had no room for"

    def _copy_link(
        self, node: Node, old: Directory, new: Directory, name: bytes
    ) -> dict[bytes, int] | None:
        """Give a link another name, as `_copy_file`."""
        entry = with_fields(node.entry, name=name.decode("latin-1"), flags=NO_PAGE)
        keys = [self._rules.page_key(new.path, name), self._rules.private_key(new.path, name)]
        record = self._recorder.append(new, [entry])
        *_, written = self._items.exchange(*map(to.remove, keys), record)
        if not self._recorder.appended(new, record, written, [entry]):
            return None
        node.entry = with_fields(node.entry, flags=NO_PAGE)
        return {self._rules.page_key(old.path, node.name): 0}


def _as_before(key: bytes, cas: int, page: Page | None) -> Request:
    """Return what undoes that `page`, or nothing, was replaced by the item with that CAS value."""
    if page is None:
        return to.remove(key, cas)
    return to.put(key, page.value, page.flags, cas=cas)
