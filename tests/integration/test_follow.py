"""Directories outside the web root that links may lead into (`follow`)."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from integration.conftest import Filled


@pytest.fixture
def shared(filled: Filled) -> Path:
    """As deploy tools lay it out: uploads beside the releases, and a link in each release."""
    shared = filled.root.parent / "shared" / "uploads"
    (shared / "2026").mkdir(parents=True)
    (shared / "a.txt").write_text("uploaded")
    (shared / "2026" / "b.txt").write_text("uploaded, too")
    (filled.root / "uploads").symlink_to("../shared/uploads")
    (filled.root / "one.txt").symlink_to("../shared/uploads/a.txt")
    return shared


UPLOADS = {b"/uploads/a.txt", b"/uploads/2026/b.txt", b"/one.txt"}


def uploads(filled: Filled) -> set[bytes]:
    return {page for page in filled.pages() if page.endswith(b".txt")}


def test_nothing_is_followed_without_it(filled: Filled, shared: Path) -> None:
    report = filled.sync()
    assert uploads(filled) == set()
    assert [each.reason[:29] for each in report.problems] == ["symbolic link out of the web "] * 2


def test_links_into_it_are_published(filled: Filled, shared: Path) -> None:
    filled.site = replace(filled.site, follow=(str(shared),))
    assert filled.sync().problems == []
    assert uploads(filled) == UPLOADS
    assert filled.discrepancies() == []
    filled.site = replace(filled.site, follow=())
    filled.sync(delete=False)
    assert uploads(filled) == set()


def test_what_is_refused_and_closed_there_stays_out(filled: Filled, shared: Path) -> None:
    filled.site = replace(filled.site, follow=(str(shared),), reader="nobody")
    (shared / ".git").mkdir()
    (shared / ".git" / "c.txt").write_text("history")
    (filled.root / "git").symlink_to("../shared/uploads/.git")
    (filled.root / "outside.txt").symlink_to("../shared/d.txt")
    (shared.parent / "d.txt").write_text("beside it")
    filled.sync()
    assert uploads(filled) == UPLOADS
    shared.parent.chmod(0o700)
    filled.sync(delete=False)
    assert uploads(filled) == set()


def test_it_may_be_a_link_and_may_come_later(filled: Filled, shared: Path) -> None:
    named = filled.root.parent / "named"
    filled.site = replace(filled.site, follow=(str(named),))
    filled.sync()
    assert uploads(filled) == set()
    named.symlink_to(shared)
    filled.sync()
    assert uploads(filled) == UPLOADS


@pytest.mark.parametrize("target", [".", "..", "root/docs"])
def test_one_that_turns_out_to_hold_the_root_is_not_followed(
    filled: Filled, shared: Path, target: str
) -> None:
    named = filled.root.parent / "named"
    named.symlink_to(filled.root.parent / target)
    filled.site = replace(filled.site, follow=(str(named),))
    report = filled.sync()
    assert [each.reason for each in report.problems if "follow" in each.reason] == [
        f"follow {named}: leads to {named.resolve()}, which holds the web root or is in it"
    ]
    assert uploads(filled) == set()
    assert report.pages == 3
