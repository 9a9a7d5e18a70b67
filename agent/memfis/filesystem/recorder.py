"""How records are written where other hosts write too: nothing that one of them did is undone.

Whoever writes looks first whether the store still has what is in memory, of every directory from
the root down, and reads anew what it has otherwise. A record is then added only to a log that is
still the one that was seen. Whoever makes a page public looks again after that, in the same round
trip: a directory may have been closed meanwhile by somebody who did not see the page yet.
"""

import errno
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from memfis.errors import StoreRefusedError
from memfis.filesystem.items import Items, failure
from memfis.filesystem.nodes import Directory, Look, Node
from memfis.filesystem.rules import Rules
from memfis.filesystem.shared_site import ATTEMPTS, SharedSite
from memfis.filesystem.timing import Timing
from memfis.filesystem.tree import Tree
from memfis.layout.pages import NO_PAGE, Page
from memfis.layout.records import Entry, is_grown, tombstone
from memfis.store import Answer, Request
from memfis.store import exchange as to

RECENT = 0.005
"""Seconds for which a look counts that comes before a page is public; or the timeout, if shorter.

Who fills a directory looks after each file, and so not before the next one too.
"""

Change = Callable[[Entry], Entry]
"""Makes the new record of the one that the store has."""


class Found(NamedTuple):
    """What the store has of a file."""

    page: Page | None
    """The stored form of its content; None: nothing."""
    items: dict[bytes, int]
    """The CAS values of its items, by their keys."""


class Recorder:
    """Looks at the logs of a tree, and adds records to them."""

    def __init__(
        self, items: Items, tree: Tree, rules: Rules, shared: SharedSite, timing: Timing
    ) -> None:
        """Write records of `tree` into `items`, where `rules` keep them.

        That of its root is in the `shared` item.
        """
        self._items = items
        self._rules = rules
        self._tree = tree
        self._shared = shared
        self._clock = timing.clock
        self._recent = min(RECENT, timing.timeout)
        self._seen: tuple[Directory, float] | None = None
        """Which directory was looked at last, with all above it, and when."""
        self._waiting: dict[Directory, float] = {}

    # What is looked at

    def looking(self, *directories: Directory) -> Look:
        """Return what to ask of `directories` and of all above; raises ENOENT when one is gone."""
        if len(directories) == 1:
            [directory] = directories
            if directory.look is None or not _is_way(directory.look.directories):
                directory.look = self._looking(directories)
            return directory.look
        return self._looking(directories)

    def _looking(self, directories: Sequence[Directory]) -> Look:
        chain: dict[Directory, None] = {}
        for directory in directories:
            here: Directory | None = directory
            while here is not None and here not in chain:
                chain[here] = None
                if here.node.directory is None and here.node is not self._tree.root:
                    raise failure(errno.ENOENT)
                here = here.node.directory
        found = sorted(chain, key=_depth)
        return Look(found, [self._shared.state(), *map(self._tree.state, found)])

    def look(self, *directories: Directory, also: Sequence[Request] = ()) -> list[Answer]:
        """Read anew what the store has otherwise, and return the answers to what is asked `also`.

        Raises ENOENT when one of `directories` is gone.
        """
        look = self.looking(*directories)
        # These come first: items that were written after them have a record that is seen, too.
        answers = self._items.exchange(*also, *look.requests)
        if not self.is_same(look, answers[len(also) :]):
            self.looking(*directories)  # tells what is gone
        return answers[: len(also)]

    def find(self, node: Node, flags: int) -> Found | None:
        """Return the content of the file `node`, rather where a record with `flags` has it.

        None when its log is no more what was seen.
        """
        directory = node.place
        keys = [
            self._rules.key(directory.path, node.name, each) for each in (flags, flags ^ NO_PAGE)
        ]
        state = self._tree.state(directory)
        *contents, now = self._items.exchange(*map(to.fetch, keys), state)
        if not self._tree.is_as(directory, now):
            return None
        found = [(k, each) for k, each in zip(keys, contents, strict=True) if each.done]
        page = Page(found[0][1].value, found[0][1].flags) if found else None
        return Found(page, {key: each.cas for key, each in found})

    def has_looked(self, directory: Directory) -> bool:
        """Whether `directory`, and all above it, were looked at just now."""
        if self._seen is None or self._seen[0] is not directory or not directory.cas:
            return False
        return self._clock() - self._seen[1] < self._recent

    def is_same(self, look: Look, answers: Sequence[Answer]) -> bool:
        """Whether all that was looked at is as it is in memory; what is not is read anew."""
        self._seen = look.directories[-1], self._clock()
        same = self._shared.is_as(answers[0])
        if not same:
            self._tree.refresh_root()
        for directory, answer in zip(look.directories, answers[1:], strict=False):
            if not self._tree.is_as(directory, answer):
                same = False
                self._tree.refresh(directory)
        return same

    def attempts(self, *directories: Directory) -> Iterator[None]:
        """Look at `directories` before each attempt to write; raises EIO when they are too many."""
        for _ in range(ATTEMPTS):
            self.look(*directories)
            yield
        raise failure(errno.EIO, "others write into this directory all the time")

    # What is written

    def append(self, directory: Directory, entries: Sequence[Entry]) -> Request:
        """Return the request that adds `entries` to the log that was seen last; see `appended`."""
        buried = [tombstone(each.name) for each in directory.waiting]
        return self._tree.log(directory).appending([*buried, *entries], cas=directory.cas)

    def appended(
        self, directory: Directory, request: Request, answer: Answer, entries: Sequence[Entry]
    ) -> bool:
        """Take note of the `answer` to the `request` that adds `entries`.

        False: the log has changed since it was seen. Raises ENOENT when the directory is gone,
        ENOSPC when there is no room.
        """
        if answer.status == b"EX":
            return False
        if answer.status in (b"NS", b"NF"):
            self._make_room(directory)
            return False
        if not answer.done:
            directory.forget()
            raise failure(errno.ENOSPC, answer.refusal)
        directory.size += len(request[1])
        directory.cas = answer.cas
        directory.records += len(entries) + len(directory.waiting)
        directory.waiting.clear()
        self._waiting.pop(directory, None)
        return True

    def tidy(self, directory: Directory) -> None:
        """Write the log without what is overtaken, when that is most of it."""
        if is_grown(directory.records, len(directory.children)):
            self._compact(directory)

    def update(self, directory: Directory, change: Callable[[], Sequence[Entry]]) -> None:
        """Add the records that `change` makes of what the store says, once more if that changes."""
        for _ in self.attempts(directory):
            entries = change()
            if not entries and not directory.waiting:
                return
            request = self.append(directory, entries)
            [answer] = self._items.exchange(request)
            if self.appended(directory, request, answer, entries):
                self.tidy(directory)
                return

    def change(self, node: Node, change: Change) -> None:
        """Write what `change` makes of the record of `node`, a directory or link.

        Raises ENOENT when another host has removed it.
        """
        if node is self._tree.root:
            node.record(self._shared.write_top(change, node.recorded))
            return
        directory, made = node.place, node.recorded

        def records() -> list[Entry]:
            nonlocal made
            if node.directory is not directory:
                raise failure(errno.ENOENT)
            made = change(node.recorded)
            return [made]

        self.update(directory, records)
        node.record(made)

    def bury(
        self, node: Node, directory: Directory, before: Sequence[Request]
    ) -> dict[bytes, int] | None:
        """Write the tombstone of the file or link `node`, after what is asked `before`.

        None: another host has written into `directory`. One that is writing this very file may put
        its content there between both, and look before the tombstone is there: return such items,
        with their CAS values.
        """
        path, gone = directory.path, [tombstone(node.recorded.name)]
        keys = self._rules.page_key(path, node.name), self._rules.private_key(path, node.name)
        record = self.append(directory, gone)
        *_, written, page, private = self._items.exchange(*before, record, *map(to.state, keys))
        if not self.appended(directory, record, written, gone):
            return None
        left = {k: each.cas for k, each in zip(keys, (page, private), strict=True) if each.done}
        if left:
            self._tree.refresh(directory)
            if node.name in directory.children:  # somebody has made it anew
                left.clear()
        self.tidy(directory)
        return left

    def bury_later(self, directory: Directory, gone: Entry) -> None:
        """Add a tombstone of the record `gone` to the log of `directory` with its next records."""
        directory.waiting.append(gone)
        self._waiting.setdefault(directory, self._clock())

    def write_waiting(self, seconds: float) -> None:
        """Write what `bury_later` left, where it has waited for `seconds`."""
        until = self._clock() - seconds
        for directory, since in list(self._waiting.items()):
            if not self._tree.has(directory):
                del self._waiting[directory]  # it was removed itself
            elif since <= until:
                self.update(directory, lambda: ())
                self._waiting.pop(directory, None)

    def _make_room(self, directory: Directory) -> None:
        """Compact a log that takes no more; raises ENOENT when there is none, ENOSPC."""
        if self._tree.log(directory).version() is None:
            self._tree.directory(directory.path, now=True)  # tells what became of it
            raise failure(errno.ENOENT)
        self._tree.refresh(directory)
        if directory.records == len(directory.children):
            raise failure(errno.ENOSPC, "the directory's item would grow over the item limit")
        self._compact(directory)

    def _compact(self, directory: Directory) -> None:
        """Write the log without what is overtaken, unless somebody else wrote meanwhile."""
        try:
            done = self._tree.log(directory).compact()
        except StoreRefusedError as error:
            raise failure(errno.ENOSPC, str(error)) from error
        if done is None or done.before != (directory.cas, directory.size):
            directory.forget()
            return
        directory.cas, directory.size = done.after
        directory.records = done.records


def _is_way(directories: Sequence[Directory]) -> bool:
    """Whether each of `directories` is still in the one before it."""
    above = directories[0]
    for here in directories[1:]:
        if here.node.directory is not above:
            return False
        above = here
    return True


def _depth(directory: Directory) -> int:
    return len(directory.path)
