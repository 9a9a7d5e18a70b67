"""What version 0.1.0 left in a store, and the files that it was made of.

`tests/fixtures/make_store_dump.py` writes the dump by the code of that version. Inodes and change
times are no file's choice, so the files are made anew by whoever needs them: the same every time.
"""

import base64
import gzip
import json
import os
import random
import shutil
import stat
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from support.memcached import Memcached

DUMP = Path(__file__).parents[1] / "fixtures" / "store-0.1.0.json.gz"

ROOT_SITE = "root.example"
"""Kept equal to the files of `make_root` by `memfis sync`."""
PHP_SITE = "php.example"
"""The same files, kept by an agent, with pages that an application has made."""
FILES_SITE = "files.example"
"""The files of `make_files`, filled through a mount: they are nowhere else."""

PHP_INDEX = ("index.php", "index.html")
RENDERED: Mapping[str, bytes] = {
    "/blog/": b"<h1>blog</h1>",
    "/blog/caf%C3%A9/": b"<h1>coffee</h1>" * 100,
    "/about": b"<h1>about us</h1>",
}
"""What the application answers, by what a browser asks for."""

RACY = "racy.html"
TOO_LARGE = "large.bin"

_TIME = 1_700_000_000_123_456_789


@dataclass(frozen=True)
class StoredItem:
    """One item: bytes of `key` and `value`, client `flags`, and seconds that it lives, or -1."""

    key: bytes
    flags: int
    ttl: int
    value: bytes


def write_dump(items: Iterable[StoredItem]) -> None:
    """Write the dump: a line of JSON an item, in the order of their keys."""
    lines = []
    for item in sorted(items, key=lambda item: item.key):
        told = asdict(item)
        for name in ("key", "value"):
            told[name] = base64.b64encode(told[name]).decode()
        lines.append(json.dumps(told))
    DUMP.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n", mtime=0))


def read_dump() -> list[StoredItem]:
    """Return the items of the dump."""
    items = []
    for line in gzip.decompress(DUMP.read_bytes()).splitlines():
        told = json.loads(line)
        for name in ("key", "value"):
            told[name] = base64.b64decode(told[name])
        items.append(StoredItem(**told))
    return items


def load(memcached: Memcached) -> None:
    """Put the items of the dump into a store."""
    with memcached.client() as client:
        for item in read_dump():
            expire = max(item.ttl, 0)
            done = client.set(item.key, item.value, expire=expire, noreply=False, flags=item.flags)
            assert done, item.key


def _file(path: Path, content: bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def at_the_same_time(top: Path) -> None:
    """Give everything below `top` a time of its own, the same in every tree."""
    found = sorted(top.rglob("*"), key=os.fsencode)
    # A directory after what is in it: the later name.
    for number, path in reversed(list(enumerate(found))):
        moment = _TIME + number * 1_000_000_007
        os.utime(path, ns=(moment, moment), follow_symlinks=False)


def make_root(top: Path) -> None:
    """Make a web root: what may be published, in every form, and what may not."""
    top.mkdir()
    top.chmod(0o755)
    _file(top / "index.html", b"<p>front page</p>\n" * 200)
    _file(top / "short.html", b"<p>too short to be compressed</p>")
    _file(top / "empty.html", b"")
    _file(top / "docs/index.html", b"<p>documentation</p>\n" * 100)
    _file(top / "docs/logo.png", bytes(range(256)) * 4)
    _file(top / "docs/a b%c.html", b"<p>blank and per cent</p>")
    _file(top / "docs/caf\u00e9.html", b"<p>coffee</p>" * 100)
    _file(Path(os.fsdecode(os.fsencode(top) + b"/docs/latin-\xe9.html")), b"<p>not UTF-8</p>")
    _file(top / "docs/deep/er/page.txt", b"deep\n" * 500)
    _file(top / ".well-known/security.txt", b"Contact: mailto:security@root.example\n")
    _file(top / ".hidden", b"no page\n")
    _file(top / TOO_LARGE, random.Random(1).randbytes(200_000))
    _file(top / RACY, b"<p>written while it was read</p>")
    (top / "linked.html").symlink_to("docs/index.html")
    (top / "manual").symlink_to("docs/deep")
    for number in range(20):
        _file(top / f"many/{number}.html", b"<p>one of many</p>\n" * (number + 1) * 5)
    at_the_same_time(top)


def make_files(top: Path) -> None:
    """Make what the mount is filled with; `top` is there."""
    _file(top / "index.html", b"<p>files</p>\n" * 100)
    _file(top / "docs/page.html", b"<p>page</p>\n" * 300)
    _file(top / "docs/index.html", b"<p>docs</p>")
    _file(top / "docs/image.png", bytes(range(256)) * 16)
    _file(top / "draft.html", b"<p>kept, and not published</p>\n" * 50, 0o600)
    _file(top / ".hidden", b"kept, and not published\n")
    _file(top / "large.bin", random.Random(2).randbytes(60_000), 0o640)
    _file(top / "tool", b"#!/bin/sh\n", 0o755)
    (top / "empty").mkdir(mode=0o700)
    (top / "link.html").symlink_to("docs/page.html")
    (top / "nowhere").symlink_to("not/there")
    (top / "inside").symlink_to("docs")
    os.setxattr(top / "index.html", b"user.note", b"kept \xff too")
    at_the_same_time(top)


def copy_files(source: Path, target: Path) -> None:
    """Copy what `make_files` made, with everything that it is; links after what they lead to."""

    def links(directory: str, names: list[str]) -> set[str]:
        return {name for name in names if Path(directory, name).is_symlink()}

    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=links)
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)


def described(top: Path) -> dict[str, tuple[object, ...]]:
    """Return what is below `top`: of each name mode, time, extended attributes and content."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(top.rglob("*"), key=os.fsencode):
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        names = os.listxattr(path, follow_symlinks=False)
        extended = {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
        mode = stat.filemode(status.st_mode)
        found[path.relative_to(top).as_posix()] = (mode, status.st_mtime_ns, extended, content)
    return found
