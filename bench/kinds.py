"""Kinds of changes of a web root: each changes it and says which answers are right then.

Every file has the same time of modification, and a content that follows another has its size.
"""

import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from support.http import Answer
from support.process import unprivileged
from support.renaming import exchange
from trees import copy_documentation

PINNED = 10**9
"""Nanoseconds since the epoch: the time of modification of every file."""

ASKED = 8
"""Pages that are asked for where a change concerns many."""

SIZE = 6_000
"""Bytes of the pages that are asked for."""

Judge = Callable[[Answer], bool]
"""Says whether an answer is right."""

Right = Mapping[str, Judge]
"""Which answers are right, by URL path."""

Kind = Callable[["Scene"], Iterator[tuple[Right, int]]]
"""Yields what is right after the change, and how many pages that concerns; and both once more after
what is done to begin again, if that is anything."""


class Scene:
    """A web root `srv/current`, which is a link to one of two releases of the same pages."""

    def __init__(self, srv: Path, files: int, reload: Callable[[Sequence[str]], None]) -> None:
        """Make it of `files` files; `reload`: has the agent read its settings, with patterns."""
        self.reload = reload
        self.srv, self.current = srv, srv / "current"
        self._numbers = itertools.count()
        one, other = srv / "releases" / "one", srv / "releases" / "other"
        self.files, _ = copy_documentation(one, files)
        self.current.symlink_to(one)
        pages = sorted(one.rglob("*.html"))
        counts = {each: sum(1 for _ in each.rglob("*.html")) for each in {p.parent for p in pages}}
        most = max((c, each) for each, c in counts.items() if c <= self.files // 2)[1]
        self.directory = most.relative_to(one)
        """Holds many of the pages, half of them at most."""
        inside = [page for page in pages if most in page.parents]
        self._asked = [f"/{p.relative_to(one)}" for p in [*_spread(inside), *_spread(pages)]]
        (one / "link.html").symlink_to(self._asked[0][1:])
        for release in (one, other):
            if release is other:
                copy(one, other)
            for url in self._asked:
                self.write(release / url[1:])
        for path in one.rglob("*"):
            os.utime(path, ns=(PINNED, PINNED), follow_symlinks=False)

    def root(self) -> Path:
        """Return the web root of now, without links."""
        return Path(os.path.realpath(self.current))

    def page(self) -> Path:
        """Return a page in `directory`."""
        return self.root() / self._asked[0][1:]

    def write(self, path: Path) -> None:
        """Write a new content, in place, with the old time."""
        path.write_bytes((b"<p>%d</p>" % next(self._numbers)).ljust(SIZE, b"."))
        os.utime(path, ns=(PINNED, PINNED))

    def beside(self) -> Path:
        """Return the path of a file with a new content, on the same file system."""
        path = self.srv / "new.html"
        self.write(path)
        return path

    def urls(self, below: Path = Path()) -> list[str]:
        """Return the URLs that are asked for of the directory `below` the root."""
        found = [url for url in self._asked if below in Path(url[1:]).parents]
        return list(dict.fromkeys(found))

    def right(self, *urls: str) -> Right:
        """Return what the disk has."""
        return {url: _has((self.root() / url[1:]).read_bytes()) for url in urls}


def _has(content: bytes) -> Judge:
    return lambda answer: answer.body == content


def _is_gone(answer: Answer) -> bool:
    return answer.status in {403, 404}


def _is_from_disk(answer: Answer) -> bool:
    return answer.status == 200 and answer.source == "FALLBACK"


def _spread(pages: Sequence[Path]) -> Sequence[Path]:
    return pages[:: max(1, len(pages) // ASKED)][:ASKED]


def copy(source: Path, target: Path) -> None:
    """Copy a directory with its times, and whatever else it has."""
    subprocess.run(["cp", "-a", source, target], check=True)


# -- contents ----------------------------------------------------------------------------------


def _one(scene: Scene) -> tuple[Right, int]:
    return scene.right(scene.urls()[0]), 1


def in_place(scene: Scene) -> Iterator[tuple[Right, int]]:
    """Write a file in place, and set its time back."""
    scene.write(scene.page())
    yield _one(scene)


def renamed(scene: Scene) -> Iterator[tuple[Right, int]]:
    """Rename a file over another one of the same time."""
    os.rename(scene.beside(), scene.page())
    yield _one(scene)


def copied(scene: Scene) -> Iterator[tuple[Right, int]]:
    """Copy a file over another one, with its time."""
    subprocess.run(["cp", "-p", scene.beside(), scene.page()], check=True)
    yield _one(scene)


def linked(scene: Scene) -> Iterator[tuple[Right, int]]:
    """Point a link to another file of the same time."""
    before, link, new = scene.page(), scene.root() / "link.html", scene.root() / ".link"
    target = before.with_name("target.html")
    scene.write(target)
    for leads_to in (target, before):
        new.symlink_to(leads_to)
        os.rename(new, link)
        yield scene.right("/link.html"), 1
    target.unlink()


def directory_swapped(scene: Scene) -> Iterator[tuple[Right, int]]:
    """Exchange a directory and a copy of it with some other pages, at once."""
    new = scene.srv / "new"
    copy(scene.root() / scene.directory, new)
    urls = scene.urls(scene.directory)
    for url in urls:
        scene.write(new / Path(url[1:]).relative_to(scene.directory))
    exchange(new, scene.root() / scene.directory)
    yield scene.right(*urls), _pages(new)
    shutil.rmtree(new)


def switched(scene: Scene) -> Iterator[tuple[Right, int]]:
    """Point the link that is the web root to another release, with some other pages."""
    new, before = scene.current.with_name("new"), scene.root()
    for release in (before.with_name("other"), before):
        new.symlink_to(release)
        os.rename(new, scene.current)
        yield scene.right(*scene.urls()), scene.files


def deployed_anew(scene: Scene) -> Iterator[tuple[Right, int]]:
    """Replace the directory that is the web root by a copy with some other pages."""
    new = scene.srv / "new"
    copy(scene.root(), new)
    for url in scene.urls():
        scene.write(new / url[1:])
    exchange(new, scene.root())
    yield scene.right(*scene.urls()), scene.files
    shutil.rmtree(new)


# -- withdrawals -------------------------------------------------------------------------------


def _pages(directory: Path) -> int:
    return sum(1 for _ in directory.rglob("*.html"))


def _closed(scene: Scene, path: Path, urls: Sequence[str]) -> Iterator[tuple[Right, int]]:
    mode = path.stat().st_mode & 0o7777
    pages = 1 if path.is_file() else _pages(scene.root() if path == scene.srv else path)
    os.chmod(path, mode & 0o700)
    yield dict.fromkeys(urls, _is_gone), pages
    os.chmod(path, mode)
    yield scene.right(*urls), pages


def file_closed(scene: Scene) -> Iterator[tuple[Right, int]]:
    """Close a file."""
    yield from _closed(scene, scene.page(), scene.urls()[:1])


def directory_closed(scene: Scene) -> Iterator[tuple[Right, int]]:
    """Close a directory."""
    yield from _closed(scene, scene.root() / scene.directory, scene.urls(scene.directory))


def root_closed(scene: Scene) -> Iterator[tuple[Right, int]]:
    """Close the web root."""
    yield from _closed(scene, scene.root(), scene.urls())


def parent_closed(scene: Scene) -> Iterator[tuple[Right, int]]:
    """Close a directory above the web root."""
    yield from _closed(scene, scene.srv, scene.urls())


def acl(scene: Scene) -> Iterator[tuple[Right, int]]:
    """Shut nginx's user out of a file."""
    user = unprivileged()
    name = user.pw_name if user else "nobody"
    subprocess.run(["setfacl", "-m", f"u:{name}:-", scene.page()], check=True)
    yield dict.fromkeys(scene.urls()[:1], _is_gone), 1
    subprocess.run(["setfacl", "-b", scene.page()], check=True)
    yield _one(scene)


def excluded(scene: Scene) -> Iterator[tuple[Right, int]]:
    """Exclude a directory, and have the settings read again; disk serves it from then on."""
    pages = _pages(scene.root() / scene.directory)
    urls = scene.urls(scene.directory)
    scene.reload([f"/{scene.directory}/"])
    yield dict.fromkeys(urls, _is_from_disk), pages
    scene.reload([])
    yield scene.right(*urls), pages


KINDS: dict[str, Kind] = {
    "written in place, time set back": in_place,
    "renamed over": renamed,
    "`cp -p` over": copied,
    "link pointed elsewhere": linked,
    "directory swapped": directory_swapped,
    "`current` switched": switched,
    "root deployed anew": deployed_anew,
    "`chmod` of a file": file_closed,
    "ACL of a file": acl,
    "`chmod` of a directory": directory_closed,
    "`chmod` of the root": root_closed,
    "`chmod` of its parent": parent_closed,
    "`exclude` by reload": excluded,
}
