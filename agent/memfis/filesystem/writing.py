"""How the records and items of files are written, so that visitors get the old page or the new."""

import errno
import logging
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from msgspec.structs import replace

from memfis.filesystem.items import Items, failure
from memfis.filesystem.nodes import Content, Directory, Node
from memfis.filesystem.recorder import Recorder
from memfis.filesystem.rules import Rules
from memfis.filesystem.shared_site import ATTEMPTS
from memfis.layout.compression import Compression
from memfis.layout.pages import NO_PAGE, make_page
from memfis.layout.paths import shown
from memfis.layout.records import Entry
from memfis.store import Answer, Request
from memfis.store import exchange as to

log = logging.getLogger(__name__)


class _Save(NamedTuple):
    """What is to be written for one file."""

    node: Node
    entry: Entry
    key: bytes
    put: Request
    before: tuple[Request, ...] = ()
    """What may no longer be seen goes first."""
    after: tuple[Request, ...] = ()


class Writing:
    """Writes files into the store, and removes them.

    Other hosts may write the same names at the same time. A content is only put over the one that
    was there when the names were looked at, and removed again if its record came too late; so
    whatever stays is what the last record says.
    """

    def __init__(
        self,
        items: Items,
        recorder: Recorder,
        rules: Rules,
        compression: Compression,
    ) -> None:
        """Write files into `items` by `rules`, and their records by `recorder`."""
        self._items = items
        self._recorder = recorder
        self._rules = rules
        self._compression = compression

    def write(self, nodes: Sequence[Node]) -> None:
        """Write records and contents of `nodes`, files of one directory.

        Two round trips, if no other host comes between: to look, and to write and look again; one
        for new files if somebody has looked just now. Files that others removed or replaced
        meanwhile are left out: they have no names any more.
        """
        directory = nodes[0].place
        placed: dict[bytes, int] = {}
        try:
            for attempt in range(ATTEMPTS):
                there = self._look(directory, nodes, all_of_them=attempt > 0)
                for gone in [each for each in nodes if each.directory is not directory]:
                    log.warning(
                        "another host has removed, renamed or replaced %s:"
                        " what was written to it here since it was opened is lost",
                        shown(directory.path + gone.name),
                    )
                nodes = [each for each in nodes if each.directory is directory]
                if not nodes:
                    return
                saves = [self._ready(node, directory, there) for node in nodes]
                if self._write(saves, directory, placed):
                    return
            raise failure(errno.EIO, "others write these files all the time")
        finally:
            if placed:  # with a record that others overtook: nothing names it, or something newer
                self._items.exchange(*[to.remove(key, cas) for key, cas in placed.items()])

    def _look(
        self, directory: Directory, nodes: Sequence[Node], *, all_of_them: bool
    ) -> dict[bytes, int]:
        """Look at `directory`, and return the CAS values of the items that `nodes` have.

        New files have none, unless one was left over: `all_of_them` looks for that.
        """
        keys: list[bytes] = []
        for node in nodes:
            if all_of_them or not node.unwritten:
                keys.append(self._rules.page_key(directory.path, node.name))
                keys.append(self._rules.private_key(directory.path, node.name))
        if not keys and not all_of_them and self._recorder.has_looked(directory):
            return {}
        found = self._recorder.look(directory, also=[to.state(key) for key in keys])
        return {key: answer.cas for key, answer in zip(keys, found, strict=True) if answer.done}

    def _ready(self, node: Node, directory: Directory, there: Mapping[bytes, int]) -> _Save:
        if node.content is None:  # only made
            node.content = Content(b"", dirty=True)
        data = bytes(node.content.data)
        page = make_page(node.name, data, self._compression)
        public = self._rules.is_public(node)
        flags = page.flags if public else page.flags | NO_PAGE
        entry = replace(node.entry, size=len(data), flags=flags)
        key = self._rules.key(directory.path, node.name, flags)
        cas = there.get(key, 0)
        put = to.put(key, page.value, page.flags, cas=cas, new=not cas)
        if not there:
            return _Save(node, entry, key, put)
        other = self._rules.key(directory.path, node.name, flags ^ NO_PAGE)
        left = (to.remove(other, there[other]),) if other in there else ()
        return _Save(node, entry, key, put, *(((), left) if public else (left, ())))

    def _write(
        self, saves: Sequence[_Save], directory: Directory, placed: dict[bytes, int]
    ) -> bool:
        """Write `saves` into `directory`; atomic for nginx, a file at a time.

        False: another host came between. What then has no record is added to `placed`.
        """
        entries = [each.entry for each in saves]
        record = self._recorder.append(directory, entries)
        first = [request for each in saves for request in each.before]
        puts = [each.put for each in saves]
        last = [request for each in saves for request in each.after]
        look = self._recorder.looking(directory)
        answers = iter(self._items.exchange(*first, record, *puts, *last, *look.requests))
        removed = [*islice(answers, len(first))]
        recorded = next(answers)
        put = [*islice(answers, len(puts))]
        removed += islice(answers, len(last))
        taken = False
        for each, stored in zip(saves, put, strict=True):
            placed.pop(each.key, None)
            if stored.done:
                placed[each.key] = stored.cas
            elif not stored.refusal:
                taken = True
        if not self._recorder.appended(directory, record, recorded, entries):
            return False
        for each in saves:
            each.node.unwritten = each.node.pending = False
            each.node.record(each.entry)
        if taken or any(each.status == b"EX" for each in removed):
            return False
        if not self._recorder.is_same(look, [*answers]) and not all(
            self._is_right(each, directory) for each in saves
        ):
            return False
        placed.clear()
        self._note(saves, put)
        self._recorder.tidy(directory)
        return True

    def _is_right(self, save: _Save, directory: Directory) -> bool:
        """Whether what was written is still what it should be, after others have written too."""
        node = save.node
        return (
            node.directory is directory
            and node.recorded == save.entry
            and node.has_page == self._rules.is_public(node)
        )

    def _note(self, saves: Sequence[_Save], stored: Sequence[Answer]) -> None:
        """Note what is written; raises ENOSPC when the store had no room for a content."""
        refusal: str | None = None
        for each, answer in zip(saves, stored, strict=True):
            node = each.node
            if not answer.done:  # no room for two at once, and the old one has gone
                content = to.put(each.key, each.put[1], each.entry.flags & ~NO_PAGE, new=True)
                [again] = self._items.exchange(content)
                if not again.done:
                    refusal = again.refusal or answer.refusal
                    continue
            assert node.content is not None
            node.content.dirty = False
            node.entry = each.entry
        if refusal is not None:
            raise failure(errno.ENOSPC, refusal)

    def delete(self, node: Node, *, record_later: bool) -> None:
        """Take the file or link `node` out of the store: first its page, then its record.

        `record_later`: the record may wait for others in the directory. Raises ENOENT when another
        host was faster.
        """
        directory = node.place
        for _ in self._recorder.attempts(directory):
            if node.directory is not directory:
                raise failure(errno.ENOENT)
            keys = [self._rules.page_key(directory.path, node.name)]
            if not node.has_page and not node.is_link:
                keys.append(self._rules.private_key(directory.path, node.name))
            if record_later:
                self._items.exchange(*map(to.remove, keys))
                self._recorder.bury_later(directory, node.recorded)
                return
            left = self._recorder.bury(node, directory, [*map(to.remove, keys)])
            if left is not None:
                if left:
                    self._items.exchange(*[to.remove(key, cas) for key, cas in left.items()])
                return
