"""The store becomes equal to the web root, whatever happened to either."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from integration.conftest import Filled, settle
from memfis.catalog.catalog import Catalog
from memfis.errors import SafetyError, UsageError
from memfis.layout.heads import Head, encode_head
from memfis.layout.keys import directory_key, head_key, page_key, site_key
from memfis.layout.pages import GZIP, NO_PAGE, Page, content_of
from memfis.layout.records import Entry, Log
from memfis.store import Item
from memfis.store.exchange import state
from memfis.sync import MaxDelete, Options, Target, Walk, racy
from memfis.sync.difference import Task
from memfis.verify import verify_webroot
from memfis.webroot import Files, WebRoot

SITE = "site.example"


def same(filled: Filled) -> bool:
    """Whether `verify` finds nothing wrong."""
    return not [each for each in verify_webroot(filled.site, filled.store) if each.discrepancy]


def content(filled: Filled, path: bytes) -> bytes | None:
    found = filled.store.get(page_key(SITE, path))
    return content_of(Page(*found)) if found else None


def test_a_first_sync_stores_every_page_under_its_url(filled: Filled) -> None:
    report = filled.sync()
    assert (report.added, report.changed, report.removed, report.problems) == (3, 0, 0, [])
    assert filled.pages() == {b"/", b"/docs/", b"/docs/logo.png"}
    assert content(filled, b"/") == b"front page"
    assert same(filled)


def test_text_is_stored_compressed_and_images_are_not(filled: Filled) -> None:
    filled.sync()
    text = filled.store.get(page_key(SITE, b"/docs/"))
    image = filled.store.get(page_key(SITE, b"/docs/logo.png"))
    assert text is not None
    assert image is not None
    assert text.flags & GZIP
    assert len(text.value) < 200
    assert not image.flags & GZIP


def test_a_second_sync_has_nothing_to_do_and_changes_no_item(
    filled: Filled, memcached: object
) -> None:
    settle()
    filled.sync()
    before = {key: filled.store.get(key) for key in filled.store.all_keys() if b"-site" not in key}
    report = filled.sync()
    assert (report.added, report.changed, report.removed, report.restored) == (0, 0, 0, 0)
    assert report.unchanged == 3
    assert before == {key: filled.store.get(key) for key in before}


def test_changed_new_and_removed_files(filled: Filled) -> None:
    filled.sync()
    (filled.root / "index.html").write_text("another front page")
    (filled.root / "docs" / "new.html").write_text("new")
    (filled.root / "docs" / "logo.png").unlink()
    report = filled.sync()
    assert (report.added, report.changed, report.removed) == (1, 1, 1)
    assert filled.pages() == {b"/", b"/docs/", b"/docs/new.html"}
    assert content(filled, b"/") == b"another front page"
    assert same(filled)


def test_a_removed_directory_leaves_nothing_behind(filled: Filled) -> None:
    deep = filled.root / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (deep / "page.html").write_text("deep")
    filled.sync()
    os.remove(deep / "page.html")
    os.removedirs(deep)
    assert filled.sync().removed == 1
    assert not [key for key in filled.store.all_keys() if b"/a/" in key]
    assert same(filled)


def test_a_file_becomes_a_directory_and_back(filled: Filled) -> None:
    thing = filled.root / "thing"
    thing.write_text("file")
    filled.sync()
    thing.unlink()
    thing.mkdir()
    (thing / "index.html").write_text("directory")
    filled.sync()
    assert {b"/thing/"} <= filled.pages()
    assert b"/thing" not in filled.pages()
    (thing / "index.html").unlink()
    thing.rmdir()
    thing.write_text("file again")
    filled.sync()
    assert content(filled, b"/thing") == b"file again"
    assert b"/thing/" not in filled.pages()
    assert same(filled)


def in_place(page: Path) -> None:
    page.write_text("FRONT PAGE")


def moved_over_it(page: Path) -> None:
    new = page.with_name("new.html")
    new.write_text("FRONT PAGE")
    os.utime(new, ns=(0, page.stat().st_mtime_ns))
    new.rename(page)


def copied_with_its_time(page: Path) -> None:
    new = page.parent.parent / "new.html"
    new.write_text("FRONT PAGE")
    os.utime(new, ns=(0, page.stat().st_mtime_ns))
    shutil.copy2(new, page)


def with_its_directory(page: Path) -> None:
    new = page.parent.parent / "new"
    shutil.copytree(page.parent, new)
    time_ns = page.stat().st_mtime_ns
    (new / page.name).write_text("FRONT PAGE")
    os.utime(new / page.name, ns=(0, time_ns))
    page.parent.rename(page.parent.parent / "old")
    new.rename(page.parent)


def by_a_link(page: Path) -> None:
    new = page.with_name("new.html")
    new.write_text("FRONT PAGE")
    os.utime(new, ns=(0, page.stat().st_mtime_ns))
    page.unlink()
    page.symlink_to(new.name)


@pytest.mark.parametrize(
    "change", [in_place, moved_over_it, copied_with_its_time, with_its_directory, by_a_link]
)
def test_the_same_time_and_size_hide_no_change(
    filled: Filled, change: Callable[[Path], None]
) -> None:
    page = filled.root / "index.html"
    os.utime(page, ns=(0, 10**9))
    settle()
    filled.sync()
    change(page)
    os.utime(page, ns=(0, 10**9))
    assert filled.sync().changed == 1
    assert content(filled, b"/") == b"FRONT PAGE"
    settle()
    assert filled.sync().changed == 0
    assert same(filled)


def test_what_the_kernel_named_is_read_whatever_its_times_say(filled: Filled) -> None:
    """A file system may lie about all that a record keeps: then the name alone tells."""
    settle()
    filled.sync()
    filled.lie("index.html", b"OTHER PAGE")
    assert filled.sync().changed == 0
    webroot = WebRoot(filled.site)
    for named, stored in ((frozenset[str](), b"OTHER PAGE"), ({"index.html"}, b"front page")):
        target = Target.of(filled.site, webroot, filled.store)
        task = Task(webroot.top(), None, deep=False, named=frozenset(named))
        with Walk(target, Options(), [task], lambda _: False) as walk:
            assert not any(walk.steps())
        assert content(filled, b"/") == stored


def test_content_is_always_checked_where_the_site_says_so(filled: Filled) -> None:
    settle()
    filled.sync()
    filled.lie("index.html", b"OTHER PAGE")
    assert filled.sync().changed == 0
    filled.site = replace(filled.site, content_check="always")
    assert filled.sync().changed == 1
    assert content(filled, b"/") == b"front page"


def test_another_copy_of_the_whole_root_sends_no_page(filled: Filled) -> None:
    """As an image that is deployed anew, or publishing that moves to another host."""
    settle()
    filled.sync()
    shutil.copytree(filled.root, filled.root.with_name("copy"))
    shutil.rmtree(filled.root)
    filled.root.with_name("copy").rename(filled.root)
    settle()
    keys = [page_key(SITE, path) for path in filled.pages()]
    before = filled.store.exchange(*map(state, keys))
    report = filled.sync()
    assert (report.unchanged, report.bytes_written) == (3, 0)
    assert [each.cas for each in filled.store.exchange(*map(state, keys))] == [
        each.cas for each in before
    ]
    records = written_records(filled)
    assert filled.sync().unchanged == 3
    assert written_records(filled) == records  # and it is known from then on


def written_records(filled: Filled) -> dict[bytes, int]:
    """Return the CAS value of each directory item."""
    keys = [directory_key(SITE, path) for path in (b"/", b"/docs/")]
    return {
        key: each.cas
        for key, each in zip(keys, filled.store.exchange(*map(state, keys)), strict=True)
    }


def test_a_file_that_changes_within_a_tick_of_the_clock_is_found(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(racy, "TICK", 3600 * 10**9)  # however slow this machine is
    page = filled.root / "index.html"
    page.write_text("front page")
    filled.sync()
    status = page.stat()
    page.write_text("FRONT PAGE")  # the same size, and as if within the same tick
    os.utime(page, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert filled.sync().changed == 1
    assert content(filled, b"/") == b"FRONT PAGE"
    monkeypatch.undo()
    settle()
    assert filled.sync().changed == 0
    [log] = Catalog(filled.store, SITE).logs([b"/"])
    assert log is not None
    assert not log.entries["index.html"].racy


def test_a_file_that_is_open_for_writing_is_left_to_the_disk(filled: Filled) -> None:
    filled.sync()
    with (filled.root / "index.html").open("w") as page:
        page.write("half")
        page.flush()
        report = filled.sync()
        assert report.skipped["open for writing"] == 1
        assert report.problems == []
        assert b"/" not in filled.pages()
        page.write(" and half")
    filled.sync()
    assert content(filled, b"/") == b"half and half"
    assert same(filled)


def test_a_large_tree_is_synced_by_several_processes(filled: Filled) -> None:
    for number in range(100):
        directory = filled.root / f"directory {number}" / "below"
        directory.mkdir(parents=True)
        for page in range(20):
            (directory / f"{page}.html").write_text(f"page {page} of {number}")
    report = filled.sync(jobs=3)
    assert (report.pages, report.added, report.problems) == (2003, 2003, [])
    assert content(filled, b"/directory 99/below/19.html") == b"page 19 of 99"
    assert same(filled)
    for number in range(0, 100, 2):
        (filled.root / f"directory {number}" / "below" / "3.html").unlink()
        (filled.root / f"directory {number}" / "below" / "4.html").write_text("changed")
    with pytest.raises(SafetyError, match="would delete 50 of 2003"):
        filled.sync(jobs=3, max_delete=MaxDelete(49, percent=False))
    assert len(filled.pages()) == 2003
    foreseen = filled.sync(jobs=3, dry_run=True)
    report = filled.sync(jobs=3)
    assert (foreseen.changed, foreseen.removed) == (report.changed, report.removed) == (50, 50)
    assert content(filled, b"/directory 98/below/4.html") == b"changed"
    assert same(filled)


def test_a_touched_file_is_read_again_and_not_sent(filled: Filled) -> None:
    settle()
    filled.sync()
    os.utime(filled.root / "index.html")
    report = filled.sync()
    assert (report.changed, report.unchanged, report.bytes_written) == (0, 3, 0)


def test_a_new_mode_changes_the_record_alone(filled: Filled) -> None:
    filled.sync()
    (filled.root / "index.html").chmod(0o664)
    report = filled.sync()
    assert (report.changed, report.bytes_written) == (0, 0)
    [log] = Catalog(filled.store, SITE).logs([b"/"])
    assert log is not None
    assert log.entries["index.html"].mode == 0o100664


def test_an_evicted_page_is_stored_again(filled: Filled) -> None:
    filled.sync()
    filled.store.delete_many([page_key(SITE, b"/docs/")])
    assert filled.sync().restored == 1
    assert same(filled)


def test_a_page_somebody_else_wrote_is_put_right(filled: Filled) -> None:
    filled.sync()
    filled.store.set(page_key(SITE, b"/"), b"defaced")
    assert filled.sync().restored == 1
    assert content(filled, b"/") == b"front page"


def test_a_flushed_store_is_filled_again(filled: Filled) -> None:
    filled.sync()
    filled.store.delete_many(list(filled.store.all_keys()))
    assert filled.sync().added == 3
    assert same(filled)


@pytest.mark.parametrize("lost", [b"/", b"/docs/"])
def test_a_page_whose_directory_item_was_lost_is_not_served_after_its_file_went(
    filled: Filled, lost: bytes
) -> None:
    (filled.root / "docs" / "old.html").write_text("to be deleted")
    filled.sync()
    filled.store.delete_many([directory_key(SITE, lost)])
    (filled.root / "docs" / "old.html").unlink()
    filled.sync()
    assert b"/docs/old.html" not in filled.pages()
    assert same(filled)


def test_a_page_is_not_served_either_when_the_site_item_was_lost_too(filled: Filled) -> None:
    filled.sync()
    filled.store.delete_many([site_key(SITE), directory_key(SITE, b"/docs/")])
    (filled.root / "docs" / "logo.png").unlink()
    filled.sync()
    assert b"/docs/logo.png" not in filled.pages()
    assert same(filled)


def test_a_damaged_directory_item_is_rebuilt(filled: Filled) -> None:
    filled.sync()
    filled.store.set(directory_key(SITE, b"/docs/"), b"nonsense")
    filled.sync()
    assert same(filled)
    assert Catalog(filled.store, SITE).logs([b"/docs/"]) != [None]


def test_another_site_in_the_store_is_left_alone(filled: Filled) -> None:
    others = [
        Item(page_key("site.example.org", b"/x"), b"1", 0),
        Item(directory_key("other", b"/"), b"2", 0),
        Item(b"something", b"3", 0),
    ]
    filled.store.set_many(others)
    filled.sync()
    filled.store.delete_many([directory_key(SITE, b"/")])
    filled.sync()
    assert None not in filled.store.states([item.key for item in others])


def test_a_changed_index_name_moves_the_directory_pages(filled: Filled) -> None:
    (filled.root / "docs" / "home.html").write_text("home")
    filled.sync()
    filled.site = replace(filled.site, index=("home.html",))
    filled.sync()
    assert content(filled, b"/docs/") == b"home"
    assert filled.pages() == {b"/docs/", b"/docs/index.html", b"/docs/logo.png", b"/index.html"}
    assert same(filled)


def test_with_a_script_as_first_index_every_page_keeps_its_own_key(filled: Filled) -> None:
    filled.site = replace(filled.site, index=("index.php", "index.html"))
    filled.sync()
    assert filled.pages() == {b"/index.html", b"/docs/index.html", b"/docs/logo.png"}


def test_a_page_that_grows_too_large_is_left_to_the_disk(filled: Filled) -> None:
    filled.sync()
    logo = filled.root / "docs" / "logo.png"
    logo.write_bytes(os.urandom(200_000))
    report = filled.sync()
    assert b"/docs/logo.png" not in filled.pages()
    assert report.problems == []
    assert report.skipped["larger than 131072 bytes as stored"] == 1
    [log] = Catalog(filled.store, SITE).logs([b"/docs/"])
    assert log is not None
    assert log.entries["logo.png"].flags == NO_PAGE
    logo.write_bytes(b"small again")
    filled.sync()
    assert content(filled, b"/docs/logo.png") == b"small again"
    assert same(filled)


def test_text_that_compresses_to_less_than_the_limit_is_in_memory(filled: Filled) -> None:
    (filled.root / "long.html").write_text("all work and no play " * 20_000)
    (filled.root / "noise.html").write_bytes(os.urandom(200_000))
    report = filled.sync()
    assert b"/long.html" in filled.pages()
    assert b"/noise.html" not in filled.pages()
    assert report.pages == 4
    again = filled.sync()
    assert (again.bytes_written, again.skipped) == (0, report.skipped)


def test_a_new_limit_reconsiders_what_was_left_to_the_disk(filled: Filled) -> None:
    (filled.root / "noise.html").write_bytes(os.urandom(200_000))
    filled.sync()
    filled.site = replace(filled.site, max_page=1_000_000)
    filled.sync()
    assert b"/noise.html" in filled.pages()


def test_a_new_way_to_compress_reconsiders_what_was_left_to_the_disk(filled: Filled) -> None:
    (filled.root / "long.html").write_text("all work and no play " * 20_000)
    filled.site = replace(filled.site, compress_level=0)
    filled.sync()
    assert b"/long.html" not in filled.pages()
    filled.site = replace(filled.site, compress_level=1)
    filled.sync()
    assert b"/long.html" in filled.pages()
    (filled.root / "long.html").write_text("all play and no work " * 20_000)
    filled.site = replace(filled.site, compress_types=("css",))
    filled.sync()
    assert b"/long.html" not in filled.pages()


def test_another_level_does_not_change_what_is_stored(filled: Filled) -> None:
    settle()
    filled.sync()
    before = filled.store.get(page_key(SITE, b"/docs/"))
    for level in (12, 0):
        filled.site = replace(filled.site, compress_level=level)
        report = filled.sync()
        assert (report.unchanged, report.changed, report.restored) == (3, 0, 0)
    assert filled.store.get(page_key(SITE, b"/docs/")) == before
    page = filled.root / "docs" / "index.html"
    page.touch()
    assert filled.sync().changed == 0
    page.write_bytes(page.read_bytes() * 2)
    filled.sync()
    after = filled.store.get(page_key(SITE, b"/docs/"))
    assert before is not None
    assert after is not None
    assert (after.value, after.flags & GZIP) == (page.read_bytes(), 0)


def test_no_delete_keeps_what_the_disk_has_no_more(filled: Filled) -> None:
    filled.sync()
    (filled.root / "docs" / "logo.png").unlink()
    assert filled.sync(delete=False).removed == 0
    assert b"/docs/logo.png" in filled.pages()
    assert filled.sync().removed == 1


def test_a_dry_run_says_what_it_would_do_and_does_nothing(filled: Filled) -> None:
    filled.sync()
    before = {key: filled.store.get(key) for key in filled.store.all_keys()}
    (filled.root / "index.html").write_text("changed now")
    (filled.root / "new.html").write_text("new")
    (filled.root / "docs" / "logo.png").unlink()
    report = filled.sync(dry_run=True)
    assert (report.added, report.changed, report.removed) == (1, 1, 1)
    assert before == {key: filled.store.get(key) for key in filled.store.all_keys()}


def test_too_many_deletions_are_refused_before_anything_is_changed(filled: Filled) -> None:
    for number in range(50):
        (filled.root / f"{number}.html").write_text("page")
    filled.sync()
    for number in range(40):
        (filled.root / f"{number}.html").unlink()
    (filled.root / "index.html").write_text("changed")
    before = filled.pages()
    with pytest.raises(SafetyError, match="would delete 40 of 53 pages"):
        filled.sync(max_delete=MaxDelete(50, percent=True))
    assert filled.pages() == before
    assert content(filled, b"/") == b"front page"
    filled.sync(max_delete=MaxDelete(40, percent=False))
    assert same(filled)


def test_an_empty_web_root_is_refused(filled: Filled) -> None:
    filled.sync()
    for path in ("index.html", "docs/index.html", "docs/logo.png"):
        (filled.root / path).unlink()
    with pytest.raises(SafetyError, match="publishes nothing"):
        filled.sync(max_delete=MaxDelete(50, percent=True))
    assert len(filled.pages()) == 3


def test_a_site_filled_through_a_mount_is_not_synced(filled: Filled) -> None:
    filled.store.set(site_key(SITE), b'{"layout":1,"source":"store","epoch":"x"}')
    with pytest.raises(UsageError, match="filled through a mount"):
        filled.sync()


def test_heads_go_with_what_nothing_records(filled: Filled) -> None:
    filled.sync()
    named, stray = head_key(SITE, b"/docs/"), head_key(SITE, b"/docs/index.html")
    for key in (named, stray, head_key("other.example", b"/")):
        filled.store.set(key, encode_head(Head()))
    found = verify_webroot(filled.site, filled.store)
    assert [each.discrepancy for each in found if each.discrepancy] == [("stray", stray)]
    filled.sync(checksum=True)
    assert filled.store.states([stray, named, head_key("other.example", b"/")])[0] is None
    assert same(filled)


def test_what_a_later_version_records_beside_is_no_difference(filled: Filled) -> None:
    filled.sync()
    settle()
    filled.sync()  # what was read just after a change is compared once more
    catalog = Catalog(filled.store, SITE)
    [log] = catalog.logs([b"/"])
    assert log is not None
    later = [replace(e, tags=("a",)) for e in log.entries.values()]
    assert catalog.log(b"/").append(later).done
    report = filled.sync()
    assert (report.added, report.changed, report.removed, report.unchanged) == (0, 0, 0, 3)
    assert catalog.logs([b"/"])[0] == Log({e.name: e for e in later}, log.records + len(later))


def test_a_layout_of_the_future_is_not_touched(filled: Filled) -> None:
    filled.store.set(site_key(SITE), b'{"layout":2,"epoch":"x"}')
    with pytest.raises(UsageError, match="layout 2"):
        filled.sync()


def test_leases_are_given_and_renewed(filled: Filled) -> None:
    filled.sync(lease=3600)
    key = page_key(SITE, b"/")
    [state] = filled.store.states([key])
    assert state is not None
    assert 3590 < state.ttl <= 3601
    assert filled.sync(lease=3600).renewed == 0
    filled.store.touch_many([key], 1000)
    assert filled.sync(lease=3600).renewed == 1
    [state] = filled.store.states([key])
    assert state is not None
    assert 3590 < state.ttl <= 3601


def test_many_changes_do_not_make_a_directory_item_grow_for_ever(filled: Filled) -> None:
    for number in range(300):
        (filled.root / "docs" / f"{number}.html").write_text("first")
    filled.sync()
    for turn in range(4):
        for number in range(300):
            (filled.root / "docs" / f"{number}.html").write_text(f"turn {turn}" * (turn + 1))
        filled.sync()
    [log] = Catalog(filled.store, SITE).logs([b"/docs/"])
    assert log is not None
    assert log.records < 3 * len(log.entries)
    assert same(filled)


def test_links_inside_the_web_root_are_followed(filled: Filled) -> None:
    (filled.root / "latest").symlink_to("docs")
    (filled.root / "home.html").symlink_to("index.html")
    report = filled.sync()
    assert report.problems == []
    assert {b"/latest/", b"/latest/logo.png", b"/home.html"} <= filled.pages()
    assert content(filled, b"/home.html") == b"front page"
    assert same(filled)


def test_a_web_root_that_is_a_link_may_be_switched(filled: Filled, directory: Path) -> None:
    current = directory / "current"
    current.symlink_to(filled.root)
    filled.site = replace(filled.site, root=str(current))
    filled.sync()
    release = directory / "release2"
    (release / "docs").mkdir(parents=True)
    (release / "index.html").write_text("release 2")
    current.unlink()
    current.symlink_to(release)
    filled.sync()
    assert filled.pages() == {b"/"}
    assert content(filled, b"/") == b"release 2"


def test_a_page_whose_new_content_cannot_be_read_does_not_stay_as_it_was(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.sync()
    (filled.root / "index.html").write_text("changed, and closed before it is read")
    read = Files.read

    def closed(files: Files, found: Entry) -> tuple[bytes, os.stat_result]:
        if found.size == len("changed, and closed before it is read"):
            raise PermissionError(13, "Permission denied")
        return read(files, found)

    monkeypatch.setattr(Files, "read", closed)
    report = filled.sync()
    assert [problem.path for problem in report.problems] == [b"/index.html"]
    assert b"/" not in filled.pages()
    monkeypatch.undo()
    filled.sync()
    assert content(filled, b"/") == b"changed, and closed before it is read"


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_a_file_that_becomes_something_else_after_it_was_found_is_not_read(
    filled: Filled, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    page = filled.root / "index.html"
    read = Files.read

    def swapped(files: Files, found: Entry) -> tuple[bytes, os.stat_result]:
        page.unlink(missing_ok=True)
        if kind == "link":
            page.symlink_to("/etc/hostname")
        else:
            os.mkfifo(page)
        return read(files, found)

    monkeypatch.setattr(Files, "read", swapped)
    report = filled.sync()
    [problem] = [each for each in report.problems if each.path == b"/index.html"]
    assert "since it was found" in problem.reason
    assert b"/" not in filled.pages()


@pytest.mark.parametrize("lost", [[site_key(SITE)], [site_key(SITE), directory_key(SITE, b"/")]])
def test_an_empty_web_root_is_refused_also_when_the_store_forgot_the_site(
    filled: Filled, lost: list[bytes]
) -> None:
    filled.sync()
    filled.store.delete_many(lost)
    for path in ("index.html", "docs/index.html", "docs/logo.png"):
        (filled.root / path).unlink()
    with pytest.raises(SafetyError, match="publishes nothing"):
        filled.sync(max_delete=MaxDelete(50, percent=True))
    assert len(filled.pages()) == 3
    filled.sync()
    assert filled.pages() == set()
