"""A mount that is killed in the middle of an operation: the next one finds all of it or nothing.

For each operation, and each time that it asks the store for something: the mount dies before that.
"""

import itertools
import os
import pprint
import shutil
import stat
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from conformance.kernel import Kernel
from conformance.machine import RANDOM, Pair, difference, no_umask
from conformance.memory import in_memory
from conformance.operations import Actor, Operation
from conformance.publication import differences
from conformance.seeds import EFFORT, numbers
from conformance.strategies import beginnings, chosen_names, operations
from conformance.systems import Directory
from filesystem.conftest import Mount
from filesystem.dying import dying
from memfis.filesystem import Caller, open_site
from memfis.settings.values import Site
from support.memcached import Memcached

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do all that is compared")

TREE: list[Operation] = [
    ("make_directory", b"d", 0o755),
    ("make_directory", b"d/sub", 0o755),
    ("make_directory", b"d/empty", 0o755),
    ("make_directory", b"empty", 0o755),
    ("make_directory", b"hidden", 0o700),
    ("put", b"d/a.html", 3000, 0o644),
    ("put", b"d/index.html", 40, 0o644),
    ("put", b"d/secret.html", 20, 0o600),
    ("put", b"d/sub/b.css", 700, 0o644),
    ("put", b"hidden/c.html", 90, 0o644),
    ("put", b"page.html", 500, 0o644),
    ("put", b"other.html", 80, 0o644),
    ("put", b"secret.html", 60, 0o600),
    ("link", b"d/a.html", b"link.html"),
    ("link", b"nothing.html", b"dangling.html"),
    ("link", b"../page.html", b"d/up.html"),
]

OPERATIONS: list[Operation] = [
    ("put", b"new.html", 900, 0o644),
    ("put", b"new.html", 900, 0o600),
    ("put", b"page.html", 900, 0o644),
    ("put", b"secret.html", 900, 0o644),
    ("put", b"nothing.html", 30, 0o644),
    ("cut", b"page.html", 100),
    ("make_directory", b"new", 0o755),
    ("remove_directory", b"empty"),
    ("remove", b"page.html"),
    ("remove", b"secret.html"),
    ("remove", b"d/a.html"),
    ("remove", b"link.html"),
    ("link", b"page.html", b"another.html"),
    ("set_mode", b"page.html", 0o600),
    ("set_mode", b"secret.html", 0o644),
    ("set_mode", b"d", 0o700),
    ("set_mode", b"", 0o700),
    ("set_owner", b"d", 33, 33),
    ("set_owner", b"hidden", 33, 33),
    ("set_mode", b"hidden", 0o755),
    ("set_extended", b"page.html", b"user.a", b"value", 0),
    ("rename", b"page.html", b"new.html", 0),
    ("rename", b"page.html", b"other.html", 0),
    ("rename", b"page.html", b"secret.html", 0),
    ("rename", b"page.html", b".hidden", 0),
    ("rename", b"secret.html", b"page.html", 0),
    ("rename", b"page.html", b"link.html", 0),
    ("rename", b"secret.html", b"link.html", 0),
    ("rename", b"link.html", b"page.html", 0),
    ("rename", b"link.html", b"new.html", 0),
    ("rename", b"d", b"new", 0),
    ("rename", b"d", b"empty", 0),
    ("rename", b"d", b"hidden/d", 0),
    ("rename", b"hidden", b"d/shown", 0),
]

RUNS = 40 * EFFORT

TIMES = 200
"""More than any operation asks the store."""

EVERY = int(os.environ.get("MEMFIS_INTERRUPTED_EVERY", "1"))
"""Of so many moments at which an operation may be interrupted, one is tried: all of them take five
minutes of a processor."""


@pytest.fixture
def memory() -> Iterator[Path]:
    with in_memory() as directory, no_umask():
        yield directory


def made(memory: Path, name: str, *operations: Operation) -> Path:
    """Return a directory with the tree in which `operations` have happened."""
    root = memory / name
    root.mkdir(0o755)
    actor = Actor(Directory(os.fsencode(root)))
    for operation in (*TREE, *operations):
        answer = actor.do(operation)
        assert not isinstance(answer, str), f"{operation}: {answer}"
    return root


def outcomes(memory: Path, operation: Operation) -> list[Path]:
    """Return what may be found: all, nothing, and of files that are renamed both names."""
    found = [made(memory, "before"), made(memory, "after", operation)]
    name, *arguments = operation
    old = found[0] / os.fsdecode(arguments[0])
    if name == "rename" and not (old.is_dir() and not old.is_symlink()):
        both = made(memory, "both", operation)
        shutil.copy2(old, both / os.fsdecode(arguments[0]), follow_symlinks=False)
        found.append(both)
    if name == "put" and not old.exists():
        found.append(made(memory, "empty file", ("put", arguments[0], 0, arguments[2])))
    return found


def named(operation: Operation) -> str:
    return " ".join(
        os.fsdecode(each) if isinstance(each, bytes) else oct(each) if each else ""
        for each in operation[1:]
    ).join([f"{operation[0]} ", ""])


def interrupted(
    new_site: Callable[[], Site], operation: Operation, began: int, *, apart: bool
) -> Iterator[tuple[Site, object]]:
    """Yield sites in which `operation` was interrupted at first, later, …, and what it said."""
    for times in range(zlib.crc32(repr(operation).encode()) % EVERY, TIMES, EVERY):
        site = new_site()
        store = dying(site.store)
        filesystem = open_site(store, site, Caller(0, 0), timeout=0)
        actor = Actor(Kernel(filesystem), began)
        for each in TREE:
            assert not isinstance(actor.do(each), str)
        filesystem.write_pending()
        store.left, store.apart = times, apart
        answer = actor.do(operation)
        done = store.left > 0
        store.close()
        yield site, answer
        if done:
            assert answer is None or answer == operation[2]
            return
    raise AssertionError("it asks more often than was thought")


cases = pytest.mark.parametrize("operation", OPERATIONS, ids=map(named, OPERATIONS))


@cases
def test_all_or_nothing_is_found(
    new_site: Callable[[], Site],
    mount: Mount,
    memory: Path,
    memcached: Memcached,
    operation: Operation,
) -> None:
    began = time.time_ns()
    possible = outcomes(memory, operation)
    for site, answer in interrupted(new_site, operation, began, apart=False):
        again = mount(site)
        found = Actor(Kernel(again), began).do(("tree",))
        assert isinstance(found, dict), f"the next mount says {found}"
        again.close()
        name = os.fsencode(site.name)
        wrongs = []
        for root in possible:
            expected = Actor(Directory(os.fsencode(root)), began).do(("tree",))
            wrong = difference(expected, found) or visible(os.fsencode(root), name, memcached)
            if not wrong:
                break
            wrongs.append(f"not as {root.name}:\n{wrong}")
        else:
            pytest.fail(f"it said {answer}\n" + "\n".join(wrongs))


def visible(root: bytes, site: bytes, memcached: Memcached) -> str:
    """Return what is wrong with the items, but for those left behind that nobody can see."""
    wrong = differences(root, site, memcached)
    return "\n".join(each for each in wrong if "not expected: b'memfis-" not in each)


@cases
def test_nothing_is_public_that_is_not_found_to_be(
    new_site: Callable[[], Site],
    mount: Mount,
    memory: Path,
    memcached: Memcached,
    operation: Operation,
) -> None:
    for site, answer in interrupted(new_site, operation, time.time_ns(), apart=True):
        again = mount(site)
        root = memory / site.name
        root.mkdir(0o755)
        lost = copied(Actor(Kernel(again)), root)
        again.close()
        wrong = differences(os.fsencode(root), os.fsencode(site.name), memcached)
        seen = [each for each in wrong if "not expected: b'memfis://" in each]
        assert not seen, f"it said {answer}\n" + "\n".join(wrong)
        assert len(lost) < 2, f"it said {answer}, and there is no {lost}"


@pytest.mark.parametrize("number", numbers(1))
def test_the_items_are_those_of_the_tree_found(
    new_site: Callable[[], Site], mount: Mount, memory: Path, memcached: Memcached, number: int
) -> None:
    counted = itertools.count()

    @seed(number)
    @settings(RANDOM, max_examples=RUNS)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        site = new_site()
        right = memory / str(next(counted))
        right.mkdir(0o755)
        with closing(dying(site.store)) as store:
            filesystem = open_site(store, site, Caller(0, 0), timeout=0)
            pair = Pair(lambda: (Kernel(filesystem), Directory(os.fsencode(right))))
            names = data.draw(chosen_names)
            operation = operations(names, open_files=True)
            for each in (
                *data.draw(beginnings(names)),
                *data.draw(st.lists(operation, max_size=20)),
            ):
                pair.happen(each)
            store.left = data.draw(st.integers(1, 40))
            said: list[tuple[Operation, object]] = []
            while store.left and len(said) < 100:
                each = pair.resolved(data.draw(operation))
                said.append((each, pair.tested.do(each)))

        again = mount(site)
        root = memory / site.name
        root.mkdir(0o755)
        lost = copied(Actor(Kernel(again)), root)
        again.close()
        wrong = visible(os.fsencode(root), os.fsencode(site.name), memcached)
        history = pprint.pformat((pair.history, said), width=100)
        assert not wrong, f"{wrong}\nafter {history}"
        assert not lost, f"{lost} cannot be read after {history}"

    check()


def copied(found: Actor, root: Path, path: bytes = b"") -> list[bytes]:
    """Make in `root` what is `found`; return the paths of which nothing is found but the name."""
    tree: Any = found.do(("status", path, False))
    copy = os.fsencode(root) + b"/" + path
    if stat.S_ISLNK(tree.mode):
        target: Any = found.do(("target", path))
        os.symlink(target, copy)
        return []
    lost = []
    if stat.S_ISDIR(tree.mode):
        os.makedirs(copy, exist_ok=True)
        names: Any = found.do(("names", path))
        if isinstance(names, str):
            lost, names = [path], []
        for name in names:
            lost += copied(found, root, path + b"/" + name if path else name)
    else:
        content: Any = found.do(("get", path))
        if isinstance(content, str):
            lost, content = [path], b""
        with open(copy, "wb") as file:
            file.write(content)
    os.chown(copy, tree.uid, tree.gid)
    os.chmod(copy, stat.S_IMODE(tree.mode))
    return lost
