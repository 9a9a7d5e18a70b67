"""Which mounts a look at a web root may wait for, found without a look at them."""

import os
from pathlib import Path

import pytest

from memfis.service.mountinfo import MountLine
from memfis.watch.mounts import Mount, waiting_on


def lines(*mounts: tuple[str | Path, str]) -> list[MountLine]:
    every = (("/", "ext4"), *mounts)
    return [MountLine(os.fsencode(point), kind, b"") for point, kind in every]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a directory with a web root and links to it and out of it."""
    (tmp_path / "srv" / "root" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to("srv")
    (tmp_path / "away").symlink_to("/mnt/server/share")
    return tmp_path.resolve()


@pytest.mark.parametrize(
    "root", ["srv/root", "link/root", "srv/root/below", "link/../srv/root", "srv/root/missing/x"]
)
def test_what_is_on_a_disk_waits_for_nobody(tree: Path, root: str) -> None:
    others = (tree / "srv" / "roots", "nfs4"), ("/mnt/server", "fuse.sshfs")
    assert waiting_on([os.fsencode(tree / root)], lines(*others)) is None


@pytest.mark.parametrize(
    ("root", "point", "kind"),
    [
        ("srv/root", "srv/root", "nfs4"),
        ("srv/root", "srv", "fuse.sshfs"),
        ("srv/root", "srv/root/below", "fuse"),
        ("srv/root", "srv/root", "autofs"),
        ("srv/root", "srv/root", "fuseblk"),
        ("link/root", "srv", "cifs"),
    ],
)
def test_what_is_on_the_way_or_below_may_wait(tree: Path, root: str, point: str, kind: str) -> None:
    mounted = lines((tree / point, kind))
    found = Mount(os.fsencode(tree / point), kind)
    assert waiting_on([os.fsencode(tree / root)], mounted) == found
    assert waiting_on([b"/usr", os.fsencode(tree / root)], mounted) == found


def test_where_a_link_leads_is_not_looked_at(tree: Path) -> None:
    mounted = lines(("/mnt/server", "nfs4"))
    assert waiting_on([os.fsencode(tree / "away" / "x")], mounted) == Mount(b"/mnt/server", "nfs4")


def test_what_lies_over_it_counts(tree: Path) -> None:
    over = lines((tree / "srv", "nfs4"), (tree / "srv", "ext4"))
    assert waiting_on([os.fsencode(tree / "srv" / "root")], over[:2]) is not None
    # nobody can look at what is below, but may at what it was told of before
    assert waiting_on([os.fsencode(tree / "srv" / "root" / "below")], over) is None
