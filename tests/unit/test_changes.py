"""What is to be compared after a change on disk, in any order, and through links."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memfis.keeper.changes import Links, Pending
from memfis.settings.values import Site
from memfis.watch import Changes
from memfis.webroot import Link, WebRoot

NAMES = [b"/r", b"/r/a", b"/r/a/b", b"/r/ab", b"/other", b"/other/x", b"/"]
"""Paths on disk, some of them within others, and some that only begin alike."""

DISK = st.sampled_from(NAMES)
LINK = st.builds(
    Link, st.sampled_from([b"l", b"m"]), st.lists(DISK, max_size=2, unique=True).map(tuple), DISK
)
HELD = st.lists(LINK, max_size=2, unique_by=lambda link: link.name)
FOUND = st.dictionaries(st.sampled_from([b"/", b"/d/", b"/d/e/"]), HELD, max_size=3)


def below(disk: bytes, above: bytes) -> bytes | None:
    """Return what has to be put behind `above` to give `disk`, None where nothing does."""
    if above == b"/":
        return disk.rstrip(b"/")
    rest = disk.removeprefix(above)
    return rest if disk.startswith(above) and (not rest or rest.startswith(b"/")) else None


@given(st.lists(FOUND, max_size=5))
def test_links_are_those_that_were_found_last(founds: list[dict[bytes, list[Link]]]) -> None:
    links = Links()
    now: dict[bytes, list[Link]] = {}
    for found in founds:
        links.update(found)
        now |= found
    for name in NAMES:
        depending = {
            (path, link.name) for path, held in now.items() for link in held if name in link.way
        }
        assert set(links.depending(name)) == depending
        urls = {
            path + link.name + rest
            for path, held in now.items()
            for link in held
            if (rest := below(name, link.target)) is not None
        }
        assert set(links.also(name)) == urls


class Pended:
    """A web root with directories `a`, `a/b` and `c`, and what is pending of it."""

    def __init__(self, root: Path) -> None:
        (root / "a" / "b").mkdir(parents=True)
        (root / "c").mkdir()
        self.root = os.fsencode(root.resolve())
        self.webroot = WebRoot(Site(name="a.example", root=str(root)))
        self.pending = Pending()

    def disk(self, *paths: str) -> set[bytes]:
        return {self.root + path.encode() for path in paths}

    def take(self, *later: bytes) -> dict[bytes, bool]:
        """Return what is to be compared, each with whether all below is too."""
        tasks = self.pending.take(self.webroot, lambda path: path in later)
        assert {task.has_record for task in tasks} <= {None}
        return {task.directory.path: task.deep for task in tasks}


@pytest.fixture
def pended(tmp_path: Path) -> Pended:
    return Pended(tmp_path)


def test_what_changed_is_compared_once(pended: Pended) -> None:
    directories = pended.disk("", "/a/b")
    pended.pending.add(pended.webroot, Changes(directories, pended.disk("/c")))
    assert len(pended.pending) == 3
    assert pended.take() == {b"/": False, b"/a/b/": False, b"/c/": True}
    assert pended.take() == {}
    assert len(pended.pending) == 0


def test_what_is_elsewhere_or_not_published_any_more_is_left_out(pended: Pended) -> None:
    directories = pended.disk("/a", "/gone", "-like-it") | {b"/etc"}
    pended.pending.add(pended.webroot, Changes(directories))
    assert pended.take() == {b"/a/": False}


def test_some_can_be_left_for_later(pended: Pended) -> None:
    pended.pending.add(pended.webroot, Changes(pended.disk("/a"), pended.disk("/a/b", "/c")))
    assert pended.take(b"/a/", b"/a/b/") == {b"/c/": True}
    assert len(pended.pending) == 2
    assert pended.take() == {b"/a/": False, b"/a/b/": True}


def test_what_was_named_is_compared_by_content(pended: Pended) -> None:
    names = pended.disk("/a/x.html", "/c/left.html", "/elsewhere/y.html")
    pended.pending.add(pended.webroot, Changes(pended.disk("/a", "/c"), names=names))
    tasks = pended.pending.take(pended.webroot, lambda path: path == b"/c/")
    assert {task.directory.path: task.named for task in tasks} == {b"/a/": {"x.html"}}
    pended.pending.add(pended.webroot, Changes(pended.disk("/a")))
    tasks = pended.pending.take(pended.webroot, lambda path: False)
    assert {task.directory.path: task.named for task in tasks} == {
        b"/a/": frozenset(),
        b"/c/": {"left.html"},
    }


@given(data=st.data())
def test_the_order_of_changes_is_of_no_account(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    pended = Pended(tmp_path_factory.mktemp("root"))
    link = Link(b"link", (b"/way",), pended.root + b"/c")
    pended.pending.links.update({b"/a/": [link]})
    steps: list[tuple[str, Iterable[bytes]]] = [
        ("directories", pended.disk("/a")),
        ("directories", pended.disk("/c")),
        ("trees", pended.disk("/a/b")),
        ("directories", pended.disk("/a/b")),
        ("names", {b"/way"}),
        ("alone", {b"/a/"}),
    ]
    chosen = data.draw(st.lists(st.sampled_from(steps), max_size=6))
    expected: dict[bytes, bool] = {}
    for kind, paths in chosen:
        if kind == "alone":
            for path in paths:
                pended.pending.add_directory(path)
                expected.setdefault(path, False)
            continue
        pended.pending.add(pended.webroot, Changes(**{kind: set(paths)}))  # type: ignore[arg-type]
        if kind == "names":
            expected.setdefault(b"/a/", False)  # the link there may be another now
        for path in paths if kind != "names" else ():
            url = path.removeprefix(pended.root) + b"/"
            # /a/link/ is another name of /c/, and no directory that is found by names alone
            expected[url] = expected.get(url, False) or kind == "trees"
    assert pended.take() == expected


def test_a_directory_is_compared_by_every_name_that_links_give_it(
    tmp_path: Path, pended: Pended
) -> None:
    (tmp_path / "a" / "link").symlink_to(tmp_path / "c")
    (tmp_path / "c" / "d").mkdir()
    above = pended.webroot.directory(b"/a/")
    assert above is not None
    [link] = pended.webroot.listing(above).links
    pended.pending.links.update({b"/a/": [link]})
    pended.pending.add(pended.webroot, Changes(pended.disk("/c"), pended.disk("/c/d")))
    assert pended.take() == {b"/c/": False, b"/a/link/": False, b"/c/d/": True, b"/a/link/d/": True}
    # the name of the link, and every name on the way to what it leads to
    for name in (pended.root + b"/a/link", pended.root + b"/c", pended.root):
        pended.pending.add(pended.webroot, Changes(names={name}))
        assert pended.take() == {b"/a/": False, b"/a/link/": True}  # and not all below /a/
    pended.pending.links.update({b"/a/": []})
    pended.pending.add(pended.webroot, Changes(pended.disk("/c"), names=pended.disk("/c")))
    assert pended.take() == {b"/c/": False}


def test_nothing_is_left_when_the_whole_site_is_compared(pended: Pended) -> None:
    pended.pending.add(pended.webroot, Changes(pended.disk("/a")))
    pended.pending.clear()
    assert pended.take() == {}


def test_what_links_lead_to_outside_of_the_web_root_is_compared_where_they_are(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    pended = Pended(tmp_path_factory.mktemp("root"))
    shared = tmp_path_factory.mktemp("shared").resolve()
    (shared / "uploads" / "2026").mkdir(parents=True)
    (shared / "logo.png").write_bytes(b"logo")
    links = {
        b"/a/": {b"uploads": shared / "uploads"},
        b"/": {b"logo.png": shared / "logo.png"},
    }
    for url, named in links.items():
        for name, target in named.items():
            os.symlink(target, pended.root + url + name)
        directory = pended.webroot.directory(url)
        assert directory is not None
        found = pended.webroot.listing(directory).links
        assert [link.name for link in found] == list(named)
        pended.pending.links.update({url: found})

    def urls(changes: Changes) -> dict[bytes, bool]:
        pended.pending.add(pended.webroot, changes)
        noted = dict(pended.pending._deep)  # what is not published yet is not taken
        pended.pending.clear()
        return noted

    inside = os.fsencode(shared / "uploads" / "2026")
    assert urls(Changes({inside}, names={inside + b"/x.html"})) == {b"/a/uploads/2026/": False}
    uploads = os.fsencode(shared / "uploads")
    assert urls(Changes({os.fsencode(shared)}, {uploads}, {uploads})) == {
        b"/a/uploads/": True,
        b"/a/": False,
    }
    logo = os.fsencode(shared / "logo.png")
    assert urls(Changes({os.fsencode(shared)}, names={logo})) == {b"/": False, b"/logo.png/": True}
    assert urls(Changes({os.fsencode(shared / "else")})) == {}
