"""The programs that a site is filled, changed and compared with, none of which may complain."""

import os
import shutil
from pathlib import Path

import pytest

from mount.conftest import Items, Mounts
from support.documentation import documentation
from support.mount import Mount, run

MANUAL = ("postgresql-doc-15", "postgresql-doc-16", "postgresql-doc-17")
"""Over a thousand pages; which one there is depends on the release of the distribution."""

NOTHING_TO_DO = ("rsync", "-anci", "--delete")


@pytest.fixture
def manual(directory: Path) -> Path:
    """A documentation tree with links, and owners, modes and times of its own."""
    source = documentation(*MANUAL) / "usr/share/doc"
    tree = directory / "manual"
    shutil.copytree(source, tree, symlinks=True)
    [html] = [path for path in tree.rglob("html") if path.is_dir()]
    (tree / "start.html").symlink_to(os.path.relpath(html / "index.html", tree))
    (tree / "private.html").write_text("for the owner")
    (tree / "private.html").chmod(0o600)
    (tree / ".htaccess").write_text("Deny from all\n")
    (tree / os.fsdecode(b"caf\xe9 100% \xff")).touch()
    (tree / "empty").mkdir(mode=0o2775)
    os.utime(tree / "empty", ns=(0, 987_654_321_123_456_789))
    if os.geteuid() == 0:
        os.chown(tree / "private.html", 1000, 1001)
        os.chown(tree / "empty", 1002, -1)
        os.chown(tree / "start.html", 1003, 1004, follow_symlinks=False)
        (tree / "empty").chmod(0o2775)
    return tree


@pytest.fixture
def small(directory: Path) -> Path:
    """A few files."""
    tree = directory / "small"
    (tree / "a" / "b").mkdir(parents=True)
    for number in range(20):
        (tree / "a" / f"{number}.html").write_text(f"<p>{number}</p>\n" * 100)
    (tree / "a" / "b" / "data.bin").write_bytes(os.urandom(200_000))
    (tree / "a" / "link.html").symlink_to("1.html")
    return tree


def test_cp_and_rsync_finds_nothing_to_do(
    manual: Path, root: Path, mount: Mount, new_mount: Mounts, items: Items
) -> None:
    run("cp", "-a", f"{manual}/.", root)
    assert run(*NOTHING_TO_DO, f"{manual}/", f"{root}/") == ""
    run("diff", "-r", "--no-dereference", manual, root)
    mount.unmount()
    new_mount()
    assert run(*NOTHING_TO_DO, f"{manual}/", f"{root}/") == ""
    run("diff", "-r", "--no-dereference", manual, root)
    listing = ("find", ".", "-printf", r"%p %y %m %U %G %T@ %l %n\n")
    assert sorted(run(*listing, cwd=root).splitlines()) == sorted(
        run(*listing, cwd=manual).splitlines()
    )
    assert items.privates() == {"/.htaccess", "/private.html"}
    pages = {
        os.fsdecode(os.fsencode(path.relative_to(manual)))
        for path in manual.rglob("*.html")
        if path.is_file() and path.name != "private.html"
    }
    found = {path.removeprefix("/") for path in items.pages()}
    assert {page.removesuffix("index.html") for page in pages} <= found


def test_rsync_into_the_mount(manual: Path, root: Path) -> None:
    run("rsync", "-a", "--delete", f"{manual}/", f"{root}/")
    assert run(*NOTHING_TO_DO, f"{manual}/", f"{root}/") == ""
    pages = sorted(path for path in manual.rglob("*.html") if not path.is_symlink())
    for page in pages[::10]:
        page.unlink()
    for page in pages[1::10]:
        page.chmod(0o644)
        page.write_text("changed")
    (manual / "new" / "deep").mkdir(parents=True)
    (manual / "new" / "deep" / "page.html").write_text("new")
    run("rsync", "-a", "--delete", f"{manual}/", f"{root}/")
    assert run(*NOTHING_TO_DO, f"{manual}/", f"{root}/") == ""
    run("rsync", "-a", "--inplace", "--append-verify", f"{manual}/", f"{root}/")
    run("diff", "-r", "--no-dereference", manual, root)


def test_rsync_with_extended_attributes(small: Path, root: Path) -> None:
    try:
        os.setxattr(small / "a" / "1.html", "user.note", b"value")
    except OSError as error:
        pytest.skip(f"no extended attributes where the test is: {error.strerror}")
    run("rsync", "-aX", f"{small}/", f"{root}/")
    assert os.getxattr(root / "a" / "1.html", "user.note") == b"value"
    run("cp", "-a", root / "a", root / "copy")
    assert os.getxattr(root / "copy" / "1.html", "user.note") == b"value"
    assert run("rsync", "-anciX", "--delete", f"{small}/a/", f"{root}/copy/") == ""


def test_tar(manual: Path, root: Path, directory: Path) -> None:
    archive = directory / "manual.tar"
    run("tar", "cf", archive, "-C", manual, ".")
    run("tar", "xpf", archive, "-C", root)
    assert run(*NOTHING_TO_DO, f"{manual}/", f"{root}/") == ""
    run("tar", "df", archive, "-C", root)
    again = directory / "again.tar"
    run("tar", "cf", again, "-C", root, ".")
    run("tar", "df", again, "-C", manual)


def test_git(small: Path, root: Path) -> None:
    settings = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", "-c")
    git = ("git", *settings, "init.defaultBranch=main", "-c", "advice.detachedHead=false")
    run(*git, "init", "-q", small)
    run(*git, "add", "-A", cwd=small)
    run(*git, "commit", "-qm", "First", cwd=small)
    clone = root / "clone"
    run(*git, "clone", "-q", small, clone)
    assert run(*git, "status", "--porcelain", cwd=clone) == ""
    (clone / "a" / "1.html").write_text("changed")
    run(*git, "commit", "-qam", "Second", cwd=clone)
    run(*git, "checkout", "-q", "HEAD~1", cwd=clone)
    assert (clone / "a" / "1.html").read_text() == (small / "a" / "1.html").read_text()
    run(*git, "gc", "-q", cwd=clone)
    run(*git, "fsck", "--no-progress", cwd=clone)
    run(*git, "clone", "-q", clone, root / "second")
    run("rm", "-r", clone)
    assert os.listdir(root) == ["second"]


def test_sed_and_mv_and_find(small: Path, root: Path, items: Items) -> None:
    run("cp", "-a", f"{small}/.", root)
    run("sed", "-i", "s/<p>/<b>/", *(root / "a").glob("1*.html"))
    assert (items.page("/a/12.html") or b"").startswith(b"<b>12")
    run("mv", root / "a", root / "c")
    assert not [path for path in items.pages() if path.startswith("/a/")]
    assert run("find", root, "-name", "*.html", "-newermt", "2001-01-01", "-type", "f").count(
        "\n"
    ) == len(list(small.glob("a/[0-9]*.html")))
    run("mv", root / "c" / "2.html", root / "c" / "3.html")
    assert (items.page("/c/3.html") or b"").startswith(b"<p>2</p>")
    run("find", root, "-mindepth", "1", "-delete")
    assert items.pages() | items.privates() == set()


def test_mv_from_and_to_another_filesystem(small: Path, root: Path, directory: Path) -> None:
    run("cp", "-a", small, directory / "before")
    run("mv", small / "a", root / "a")
    run("mv", root / "a", directory / "back")
    run("diff", "-r", "--no-dereference", directory / "before" / "a", directory / "back")
    assert run(*NOTHING_TO_DO, f"{directory}/before/a/", f"{directory}/back/") == ""


def test_an_editor_that_saves_by_renaming(root: Path, items: Items) -> None:
    page = root / "page.html"
    page.write_text("old")
    page.chmod(0o644)
    with page.open() as reading:  # somebody has it open
        temporary = root / ".page.html.swp"
        temporary.write_text("new")
        assert items.private("/.page.html.swp") == b"new"
        page.rename(root / "page.html~")
        temporary.rename(page)
        (root / "page.html~").unlink()
        assert reading.read() == "old"
    assert items.page("/page.html") == b"new"
    assert items.pages() | items.privates() == {"/page.html"}
