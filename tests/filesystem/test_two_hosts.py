"""Two hosts change one site at the same time: nothing that one of them did is undone.

Both have all of it in memory, and look at nothing again by themselves. Whatever the order in which
the store gets what they ask of it: what one closed is private when both calls have returned.
"""

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial

import pytest

from conformance.seeds import EFFORT
from filesystem.files import ROOT, get, put
from filesystem.stepping import Play, Side, every_order, interrupted_orders, stepping
from memfis.filesystem import Filesystem, open_site
from memfis.layout.keys import page_key
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import Site
from memfis.store import Answer, Request, Store
from memfis.verify.stored import verify_store

FOR_EVER = 1e9
"""Seconds for which both believe what they have in memory."""

TAKEN_AWAY = errno.ENOENT, errno.ESTALE, errno.EIO
"""What one may be told of a file that the other one has removed, or is just moving: for as long as
it is between two steps no content can be read."""

LONG = 1.0
"""Seconds between any two looks at the clock: whatever was seen was not seen just now."""

Act = Callable[[Filesystem], object]


def mode_of(filesystem: Filesystem, path: bytes) -> int:
    return filesystem.attributes(path).mode & 0o7777


def absent(filesystem: Filesystem, path: bytes) -> bool:
    with suppress(FileNotFoundError):
        filesystem.attributes(path)
        return False
    return True


@dataclass(frozen=True)
class Closing:
    """What one host does, and how one sees that it stands."""

    act: Act
    stands: Callable[[Filesystem], bool]
    hidden: tuple[bytes, ...] = ()
    """Paths of which there must be no page."""
    links_later: bool = False
    """Whether a link of the other host that leads there may have its page until the next upkeep."""


BELOW = (b"/d/h.txt", b"/d/new.txt", b"/d/f.txt")

CLOSINGS = {
    "chmod the file": Closing(
        lambda a: a.change_mode(b"/d/h.txt", 0o600),
        lambda found: mode_of(found, b"/d/h.txt") == 0o600,
        (b"/d/h.txt", b"/link"),
    ),
    "chown the file": Closing(
        lambda a: a.change_owner(b"/d/h.txt", 7, 8),
        lambda found: found.attributes(b"/d/h.txt")[3:5] == (7, 8),
    ),
    "set an attribute": Closing(
        lambda a: a.set_extended(b"/d/h.txt", b"user.a", b"one", 0),
        lambda found: found.extended(b"/d/h.txt").get(b"user.a") == b"one",
    ),
    "chmod the directory": Closing(
        lambda a: a.change_mode(b"/d", 0o700),
        lambda found: mode_of(found, b"/d") == 0o700,
        (*BELOW, b"/link"),
    ),
    "chmod the top": Closing(
        lambda a: a.change_mode(b"/", 0o700),
        lambda found: mode_of(found, b"/") == 0o700,
        (*BELOW, b"/f.txt", b"/link"),
    ),
    "remove the file": Closing(
        lambda a: a.remove(b"/d/h.txt"),
        lambda found: absent(found, b"/d/h.txt"),
        (b"/d/h.txt",),
        True,
    ),
    "rename the file": Closing(
        lambda a: a.rename(b"/d/h.txt", b"/moved.txt"),
        lambda found: absent(found, b"/d/h.txt") and not absent(found, b"/moved.txt"),
        (b"/d/h.txt",),
    ),
    "rename the directory": Closing(
        lambda a: a.rename(b"/d", b"/e"),
        lambda found: absent(found, b"/d") and not absent(found, b"/e/h.txt"),
        BELOW,
    ),
}


def replace_file(a: Filesystem) -> None:
    put(a, b"/d/other.txt", b"another file", 0o600)
    a.rename(b"/d/other.txt", b"/d/h.txt")


CLOSINGS["replace the file"] = Closing(
    replace_file,
    lambda found: (
        get(found, b"/d/h.txt").startswith(b"another file") and mode_of(found, b"/d/h.txt") == 0o600
    ),
    (b"/d/h.txt",),
)


def close_what_is_open(b: Filesystem) -> Act:
    handle = b.open(b"/d/h.txt", os.O_RDWR)
    b.write(handle, b"written", 0)
    return lambda _: (b.flush(handle), b.release(handle))


def append(b: Filesystem) -> None:
    handle = b.open(b"/d/h.txt", os.O_WRONLY | os.O_APPEND)
    b.write(handle, b"appended", 0)
    b.flush(handle)
    b.release(handle)


def set_times(b: Filesystem) -> None:
    b.change_times(b"/d/h.txt", None, 10**18)
    b.change_times(b"/d", None, 10**18)
    b.change_times(b"/", None, 10**18)
    b.write_all()


WRITERS: dict[str, Callable[[Filesystem], Act]] = {
    "close a file that is open": close_what_is_open,
    "make a file": lambda _: lambda b: put(b, b"/d/new.txt", b"new"),
    "append": lambda _: append,
    "rename into it": lambda _: lambda b: b.rename(b"/f.txt", b"/d/f.txt"),
    "make a link": lambda _: lambda b: b.make_link(b"/link", b"d/h.txt", ROOT),
    "set times": lambda _: set_times,
    "set an attribute": lambda _: lambda b: b.set_extended(b"/d/h.txt", b"user.b", b"two", 0),
}


@pytest.fixture
def store(site: Site) -> Iterator[Store]:
    with closing(Store(StoreAddress.parse(site.store))) as store:
        yield store


def clock() -> Callable[[], float]:
    return partial(next, itertools.count(0.0, LONG))


class Stage:
    """A site for each play, and what must hold when it has ended."""

    def __init__(
        self,
        new_site: Callable[[], Site],
        store: Store,
        closing: Closing,
        writer: Callable[[Filesystem], Act],
        *,
        apart: bool,
    ) -> None:
        self._new_site = new_site
        self._store = store
        self._closing = closing
        self._writer = writer
        self._apart = apart
        self._site: Site
        self._sides: Play
        self.mounts: list[Filesystem] = []

    def begin(self) -> Play:
        self._end()
        self._site = self._new_site()
        stores = [stepping(self._site.store) for _ in range(2)]
        one, two = self.mounts = [
            open_site(store, self._site, ROOT, timeout=FOR_EVER, clock=clock()) for store in stores
        ]
        one.make_directory(b"/d", 0o755, ROOT)
        put(one, b"/d/h.txt", b"h")
        put(one, b"/f.txt", b"f")
        one.write_all()
        two.names(b"/")
        two.names(b"/d")
        act = self._writer(two)
        for store in stores:
            store.apart = self._apart
        self._sides = (
            Side(stores[0], lambda: self._closing.act(one)),
            Side(stores[1], lambda: act(two)),
        )
        return self._sides

    def _end(self) -> list[str]:
        """Close both mounts; return what they could not write."""
        lost = []
        for mount in self.mounts:
            if self._closing.links_later:
                mount.write_pending()
            lost += mount.close()
        self.mounts.clear()
        return lost

    def check(self, order: object) -> None:
        lost = self._end()
        assert not lost, f"{order}: {lost}"
        first, second = (side.error for side in self._sides)
        assert first is None, f"{order}: {first}"
        assert second is None or second.errno in TAKEN_AWAY, f"{order}: {second}"
        wrong = [
            each.discrepancy for each in verify_store(self._site, self._store) if each.discrepancy
        ]
        assert not wrong, f"{order}: {wrong}"
        pages = [page_key(self._site.name, path) for path in self._closing.hidden]
        assert not self._store.get_many(pages), f"{order}: a page of what was closed"
        found = open_site(self._store, self._site, ROOT, read_only=True)
        assert self._closing.stands(found), f"{order}: it was undone"


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("closing", CLOSINGS)
def test_what_was_done_before_stands(
    new_site: Callable[[], Site], store: Store, closing: str, writer: str
) -> None:
    stage = Stage(new_site, store, CLOSINGS[closing], WRITERS[writer], apart=False)
    for side in stage.begin():
        side.start()
        while side.step():
            pass
    stage.check("one after the other")


INTERRUPTED = [each for each in CLOSINGS if each != "rename the directory"]
"""Renaming a directory is not atomic: what is written there meanwhile may be left behind."""


@pytest.mark.parametrize("closing", INTERRUPTED)
@pytest.mark.parametrize("writer", WRITERS)
def test_each_interrupted_between_any_two_commands(
    new_site: Callable[[], Site], store: Store, closing: str, writer: str
) -> None:
    stage = Stage(new_site, store, CLOSINGS[closing], WRITERS[writer], apart=True)
    done = 0
    for order in interrupted_orders(stage.begin, EFFORT):
        stage.check(order)
        done += 1
    assert done > 10


def test_every_order_of_round_trips(new_site: Callable[[], Site], store: Store) -> None:
    stage = Stage(
        new_site,
        store,
        CLOSINGS["set an attribute"],
        WRITERS["set an attribute"],
        apart=False,
    )
    done = 0
    for order in every_order(stage.begin):
        stage.check(order)
        done += 1
    assert done >= 10


class Counting(Store):
    """Counts what it is asked."""

    trips = commands = 0

    def exchange(self, *requests: Request) -> list[Answer]:
        self.trips += 1
        self.commands += len(requests)
        return super().exchange(*requests)


@pytest.mark.parametrize(("seconds", "trips"), [(0.0, 1), (LONG, 2)])
def test_a_new_file_takes_one_look_more_at_most(site: Site, seconds: float, trips: int) -> None:
    """Four directories deep: record, page, and a look at each directory and at the site's item."""
    with closing(Counting(StoreAddress.parse(site.store))) as store:
        moments = itertools.count(0.0, seconds)
        files = open_site(store, site, ROOT, timeout=FOR_EVER, clock=lambda: next(moments))
        path = b""
        for _ in range(3):
            path += b"/d"
            files.make_directory(path, 0o755, ROOT)
        put(files, path + b"/one.txt", b"first")
        store.trips = store.commands = 0
        put(files, path + b"/two.txt", b"second")
        look = 5
        assert (store.trips, store.commands) == (trips, 2 + trips * look)
        files.close()
