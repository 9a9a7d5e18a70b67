"""How the attributes of a file change, whose page comes into sight or goes with them."""

import errno

from msgspec.structs import replace

from memfis.filesystem.items import Items, failure
from memfis.filesystem.nodes import Directory, Node
from memfis.filesystem.recorder import Change, Recorder
from memfis.filesystem.rules import Rules
from memfis.layout.pages import NO_PAGE
from memfis.layout.paths import shown
from memfis.layout.records import Entry
from memfis.store import exchange as to


def as_it_is(entry: Entry) -> Entry:
    """Change nothing: only the place of a file has changed."""
    return entry


class Exposing:
    """Writes records of files, and moves their pages to where mode and place want them."""

    def __init__(self, items: Items, recorder: Recorder, rules: Rules) -> None:
        """Move what is in `items` by `rules`, and write records by `recorder`."""
        self._items = items
        self._recorder = recorder
        self._rules = rules

    def change(self, node: Node, change: Change) -> None:
        """Change the record of the file `node`, as other hosts have left it, and move its page.

        What is not in the store yet changes with its first save.
        """
        directory = node.place
        moved = False
        for _ in self._recorder.attempts(directory):
            if node.directory is not directory or node.unwritten:
                node.entry = change(node.entry)
                return
            entry = change(node.recorded)
            public = self._rules.is_public(node, entry)
            done: bool | None
            if public == node.has_page and not moved:
                done = entry == node.recorded or self._record(directory, node, entry)
            elif public:
                done = self._show(directory, node, entry)
            else:
                done = self._hide(directory, node, entry)
            if done:
                return
            if done is None:
                change, moved = as_it_is, True

    def settle(self, node: Node) -> None:
        """Move the page of `node`, which has a new name, where its place wants it now."""
        self.change(node, as_it_is)

    def is_written(self, node: Node) -> bool:
        """Whether another host has written or moved `node` just now."""
        look = self._recorder.looking(node.place)
        return not self._recorder.is_same(look, self._items.exchange(*look.requests))

    def check_moved(self, node: Node) -> None:
        """Raise EIO unless another host has moved the items of `node` just now."""
        if not self.is_written(node):
            raise failure(errno.EIO, f"the store has lost {shown(node.name)}")

    def _record(self, directory: Directory, node: Node, entry: Entry) -> bool:
        record = self._recorder.append(directory, [entry])
        [written] = self._items.exchange(record)
        if not self._recorder.appended(directory, record, written, [entry]):
            return False
        node.record(entry)
        self._recorder.tidy(directory)
        return True

    def _show(self, directory: Directory, node: Node, entry: Entry) -> bool | None:
        """Publish the file; None: it is recorded, and another host has written it since."""
        looked = self._recorder.find(node, NO_PAGE)
        if looked is None:
            return False
        page, found = looked
        if page is None:
            return self._lost(directory, node, entry)
        page_key, private_key = self._keys(directory, node)
        entry = replace(entry, flags=page.flags)
        record = self._recorder.append(directory, [entry])
        cas = found.get(page_key, 0)
        put = to.put(page_key, page.value, page.flags, cas=cas, new=not cas)
        look = self._recorder.looking(directory)
        written, stored, *seen = self._items.exchange(record, put, *look.requests)
        if not self._recorder.appended(directory, record, written, [entry]):
            if stored.done:
                self._items.exchange(to.remove(page_key, stored.cas))
            return False
        if stored.refusal:
            raise failure(errno.ENOSPC, stored.refusal)
        node.record(entry)
        if not self._recorder.is_same(look, seen) and not self._is_right(directory, node, entry):
            if node.directory is not directory and stored.done:
                self._items.exchange(to.remove(page_key, stored.cas))
            return None
        if not stored.done:
            return None
        if private_key in found:
            [gone] = self._items.exchange(to.remove(private_key, found[private_key]))
            if gone.status == b"EX":
                return None
        self._recorder.tidy(directory)
        return True

    def _hide(self, directory: Directory, node: Node, entry: Entry) -> bool | None:
        """Take the page away; None: that is recorded, and another host has put it there since."""
        looked = self._recorder.find(node, 0)
        if looked is None:
            return False
        page, found = looked
        page_key, private_key = self._keys(directory, node)
        if page is not None:
            entry = replace(entry, flags=page.flags | NO_PAGE)
        else:  # lost, or whoever has recorded it is still to put it there, and will look again
            entry = replace(entry, flags=entry.flags | NO_PAGE)
        if page is not None and page_key in found:
            cas = found.get(private_key, 0)
            put = to.put(private_key, page.value, page.flags, cas=cas, new=not cas)
            [stored] = self._items.exchange(put)
            if stored.refusal:
                raise failure(errno.ENOSPC, stored.refusal)
            if not stored.done:
                return False
        record = self._recorder.append(directory, [entry])
        gone = to.remove(page_key, found.get(page_key, 0))
        _, written, there = self._items.exchange(gone, record, to.state(page_key))
        if not self._recorder.appended(directory, record, written, [entry]):
            return False
        node.record(entry)
        if there.done:
            return None
        self._recorder.tidy(directory)
        return True

    def _lost(self, directory: Directory, node: Node, entry: Entry) -> bool:
        """Raise EIO unless another host has moved the file just now, or a save is to bring it."""
        if node.dirty:
            return self._record(directory, node, replace(entry, flags=entry.flags | NO_PAGE))
        self.check_moved(node)
        return False

    def _is_right(self, directory: Directory, node: Node, entry: Entry) -> bool:
        return (
            node.directory is directory
            and node.recorded == entry
            and node.has_page == self._rules.is_public(node)
        )

    def _keys(self, directory: Directory, node: Node) -> tuple[bytes, bytes]:
        path = directory.path
        return self._rules.page_key(path, node.name), self._rules.private_key(path, node.name)
