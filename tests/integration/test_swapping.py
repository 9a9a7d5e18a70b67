"""Names that are swapped while the web root is read win nothing: what was opened counts."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Process, Value
from pathlib import Path

import pytest

from memfis.settings.values import Site
from memfis.webroot import WebRoot
from support.directory import reachable_directory
from support.renaming import exchange

SWAPS = 100_000

SECRET, PUBLIC = b"secret", b"public"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs to read what its reader may not")


@pytest.fixture
def root() -> Iterator[Path]:
    with reachable_directory() as directory:
        root = directory / "root"
        root.mkdir()
        yield root


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file that cannot be told from others by size or times."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    os.utime(path, ns=(0, 10**9))


def files_by_mode(root: Path) -> None:
    write(root / "a.txt", PUBLIC)
    write(root / "b.txt", SECRET, 0o600)


def files_by_acl(root: Path) -> None:
    write(root / "a.txt", PUBLIC)
    write(root / "b.txt", SECRET)
    subprocess.run(["setfacl", "-m", "u:nobody:---", root / "b.txt"], check=True)
    (root / "a.txt").chmod((root / "b.txt").stat().st_mode)  # the same bits, without an ACL


def directories_by_mode(root: Path) -> None:
    write(root / "a.txt" / "page.txt", PUBLIC)
    write(root / "b.txt" / "page.txt", SECRET)
    (root / "b.txt").chmod(0o700)


def directories_by_acl(root: Path) -> None:
    write(root / "a.txt" / "page.txt", PUBLIC)
    write(root / "b.txt" / "page.txt", SECRET)
    subprocess.run(["setfacl", "-m", "u:nobody:---", root / "b.txt"], check=True)


def a_file_and_a_directory(root: Path) -> None:
    write(root / "a.txt", PUBLIC)
    write(root / "b.txt" / "page.txt", SECRET)
    (root / "b.txt").chmod(0o700)


def deep_directories(root: Path) -> None:
    for name, content in (("a.txt", PUBLIC), ("b.txt", SECRET)):
        (root / name / "in").mkdir(parents=True)
        write(root / name / "in" / "page.txt", content)
    (root / "b.txt").chmod(0o700)


def links(root: Path) -> None:
    (root / "closed").mkdir()
    write(root / "page.txt", PUBLIC)
    write(root / "closed" / "page.txt", SECRET)
    (root / "closed").chmod(0o700)
    (root / "a.txt").symlink_to("page.txt")
    (root / "b.txt").symlink_to("closed/page.txt")


def links_of_directories(root: Path) -> None:
    for name, content in (("open", PUBLIC), ("closed", SECRET)):
        (root / name / "in").mkdir(parents=True)
        write(root / name / "in" / "page.txt", content)
    (root / "closed").chmod(0o700)
    (root / "a.txt").symlink_to("open/in")
    (root / "b.txt").symlink_to("closed/in")


def links_out_of_the_root(root: Path) -> None:
    write(root.parent / "outside" / "page.txt", SECRET)
    write(root / "in" / "page.txt", PUBLIC)
    (root / "a.txt").symlink_to("in")
    (root / "b.txt").symlink_to("../outside")


@contextmanager
def swapping(root: Path) -> Iterator["Swapper"]:
    swapper = Swapper(root)
    swapper.start()
    try:
        yield swapper
    finally:
        swapper.kill()
        swapper.join()


class Swapper(Process):
    """Exchanges `a.txt` and `b.txt`, and counts how often."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root
        self._done = Value("L", 0, lock=False)

    @property
    def swaps(self) -> int:
        return int(self._done.value)

    def run(self) -> None:
        one, two = os.fsencode(self._root / "a.txt"), os.fsencode(self._root / "b.txt")
        while True:
            exchange(one, two)
            self._done.value += 1


def published(webroot: WebRoot) -> Iterator[bytes]:
    """Yield the content of each file that would be put into memory now."""
    for listing in webroot.walk():
        try:
            files = webroot.files(listing.path)
        except OSError:
            continue
        with files:
            for entry in listing.entries.values():
                if entry.is_directory:
                    continue
                try:
                    yield files.read(entry)[0]
                except OSError:
                    continue


@pytest.mark.parametrize(
    "make",
    [
        files_by_mode,
        files_by_acl,
        directories_by_mode,
        directories_by_acl,
        a_file_and_a_directory,
        deep_directories,
        links,
        links_of_directories,
        links_out_of_the_root,
    ],
)
def test_no_secret_is_read(make: Callable[[Path], None], root: Path) -> None:
    make(root)
    webroot = WebRoot(Site(name="a.example", root=str(root), reader="nobody"))
    assert set(published(webroot)) == {PUBLIC}
    read = 0
    with swapping(root) as swapper:
        while swapper.swaps < SWAPS or not read:
            for content in published(webroot):
                assert content == PUBLIC
                read += 1
