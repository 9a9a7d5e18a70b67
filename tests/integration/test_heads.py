"""What the reader in Lua says beside the page of a file is in the store, whatever happens."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from integration.conftest import Agents, Filled, settle
from memfis.layout.heads import Head, decode_head
from memfis.layout.keys import counter, directory_key, head_key, page_key
from memfis.layout.pages import NEEDS_HEAD, fingerprint
from memfis.layout.validators import PINNED
from memfis.store import Store
from memfis.store.exchange import state
from support.command import memfis
from support.first_level import FirstLevel
from support.process import wait_for

SITE = "site.example"
PAGES = {b"/": "index.html", b"/docs/": "docs/index.html", b"/docs/logo.png": "docs/logo.png"}


@pytest.fixture
def read_by_lua(filled: Filled) -> Filled:
    filled.site = replace(filled.site, from_memory="lua")
    return filled


def head(filled: Filled, path: bytes) -> Head | None:
    """Return the head of the page at `path`, unless it is another page's."""
    page = filled.store.get(page_key(SITE, path))
    found = filled.store.get(head_key(SITE, path))
    if page is None or found is None or found.flags != page.flags:
        return None
    return decode_head(found.value)


def heads(filled: Filled) -> set[bytes]:
    """Return the paths of all heads in the store."""
    prefix = head_key(SITE, b"")
    return {k.removeprefix(prefix) for k in filled.store.all_keys() if k.startswith(prefix)}


def are_right(filled: Filled) -> bool:
    """Whether every page has the head of a file with an ordinary time, and nothing else has one."""
    times = {
        path: Head(mtime_ns=(filled.root / name).stat().st_mtime_ns) for path, name in PAGES.items()
    }
    return heads(filled) == filled.pages() and times == {p: head(filled, p) for p in times}


def sent(filled: Filled) -> list[int]:
    """Return numbers that another write of a page would change."""
    keys = [page_key(SITE, path) for path in PAGES]
    return [answer.cas for answer in filled.store.exchange(*map(state, keys))]


def by_content(content: bytes) -> Head:
    return Head(fields=((b"ETag", b'"m%x-%x"' % (fingerprint(content), len(content))),))


def flags(filled: Filled, path: bytes) -> int:
    found = filled.store.get(page_key(SITE, path))
    assert found is not None
    return found.flags


def test_every_page_has_a_head_with_its_flags_and_the_time_of_its_file(
    read_by_lua: Filled,
) -> None:
    read_by_lua.sync(lease=3600)
    assert are_right(read_by_lua)
    assert [flags(read_by_lua, path) & NEEDS_HEAD for path in PAGES] == [0, 0, 0]
    states = read_by_lua.store.states([head_key(SITE, path) for path in PAGES])
    assert [each and 3590 < each.ttl <= 3600 for each in states] == [True] * 3
    assert read_by_lua.is_equal()


def test_who_syncs_by_flags_leaves_the_heads(read_by_lua: Filled) -> None:
    read_by_lua.sync()
    assert memfis("sync", *read_by_lua.flags()).returncode == 0
    assert are_right(read_by_lua)


def test_another_reader_has_no_heads(filled: Filled) -> None:
    filled.sync()
    assert heads(filled) == set()


def test_nothing_changed_writes_no_head(read_by_lua: Filled) -> None:
    settle()
    read_by_lua.sync()
    keys = [head_key(SITE, path) for path in PAGES]
    before = [answer.cas for answer in read_by_lua.store.exchange(*map(state, keys))]
    assert read_by_lua.sync().unchanged == 3
    assert [a.cas for a in read_by_lua.store.exchange(*map(state, keys))] == before


def touched(root: Path) -> None:
    os.utime(root / "index.html", ns=(0, 1_700_000_000_123_456_789))


def changed(root: Path) -> None:
    (root / "index.html").write_text("another front page")


def by_another_copy(root: Path) -> None:
    page = root / "docs" / "index.html"
    copy = root / "new"
    copy.write_bytes(page.read_bytes())
    copy.rename(page)


@pytest.mark.parametrize(("change", "pages"), [(touched, 0), (changed, 1), (by_another_copy, 0)])
def test_the_head_follows_the_file(
    read_by_lua: Filled, change: Callable[[Path], None], pages: int
) -> None:
    read_by_lua.sync()
    before = sent(read_by_lua)
    change(read_by_lua.root)
    read_by_lua.sync()
    assert are_right(read_by_lua)
    assert sum(a != b for a, b in zip(before, sent(read_by_lua), strict=True)) == pages
    assert read_by_lua.is_equal()


def test_a_head_goes_with_its_page(read_by_lua: Filled) -> None:
    read_by_lua.sync()
    (read_by_lua.root / "index.html").unlink()
    (read_by_lua.root / "docs" / "logo.png").chmod(0)
    read_by_lua.site = replace(read_by_lua.site, exclude=("/docs/",))
    read_by_lua.sync()
    assert heads(read_by_lua) == read_by_lua.pages() == set()


def lost(store: Store) -> None:
    store.delete_many([head_key(SITE, b"/")])


def of_another_time(store: Store) -> None:
    found = store.get(head_key(SITE, b"/"))
    assert found is not None
    store.set(head_key(SITE, b"/"), b"1 200 - 1700000000.000000000\n", found.flags)


def of_another_page(store: Store) -> None:
    found = store.get(head_key(SITE, b"/"))
    assert found is not None
    store.set(head_key(SITE, b"/"), found.value, found.flags ^ 4)


def large(store: Store) -> None:
    store.set(head_key(SITE, b"/"), b"1 200 - -\nX:" + b"x" * 300_000 + b"\n")


def flushed(store: Store) -> None:
    store.delete_many(list(store.all_keys()))


@pytest.mark.parametrize("damage", [lost, of_another_time, of_another_page, large, flushed])
def test_what_the_store_has_lost_or_got_wrong_is_put_right(
    read_by_lua: Filled, damage: Callable[[Store], None]
) -> None:
    read_by_lua.sync()
    before = sent(read_by_lua)
    damage(read_by_lua.store)
    assert not read_by_lua.is_equal()
    read_by_lua.sync()
    assert are_right(read_by_lua)
    assert damage is flushed or sent(read_by_lua) == before
    assert read_by_lua.is_equal()


def test_heads_are_renewed_with_their_pages(read_by_lua: Filled) -> None:
    settle()
    read_by_lua.sync(lease=3600)
    everything = [key(SITE, path) for path in PAGES for key in (page_key, head_key)]
    read_by_lua.store.touch_many(everything, 1000)
    assert read_by_lua.sync(lease=3600).renewed == 3
    states = read_by_lua.store.states(everything)
    assert [each and 3590 < each.ttl <= 3600 for each in states] == [True] * 6


def test_the_reader_can_be_changed_and_no_page_is_sent(filled: Filled) -> None:
    settle()
    filled.sync()
    before = sent(filled)
    for _ in range(2):
        filled.site = replace(filled.site, from_memory="lua")
        report = filled.sync()
        assert (report.unchanged, report.bytes_written) == (3, 0)
        assert are_right(filled)
        filled.site = replace(filled.site, from_memory="memcached_pass")
        report = filled.sync()
        assert (report.unchanged, report.removed, report.bytes_written) == (3, 0, 0)
        assert heads(filled) == set()
        touched(filled.root)  # while nobody reads heads
    assert sent(filled) == before


def test_a_large_tree_has_its_heads_from_several_processes(
    read_by_lua: Filled, directory: Path
) -> None:
    for number in range(300):
        place = read_by_lua.root / f"directory {number}"
        place.mkdir()
        for page in range(4):
            (place / f"{page}.html").write_text(f"page {page} of {number}")
    first_level = FirstLevel(directory / "first-level.sock")
    try:
        with closing(Store(read_by_lua.store.address, first_level=str(first_level.socket))) as told:
            read_by_lua.store = told
            assert read_by_lua.sync(jobs=3, exact_jobs=True).added == 1203
            keys = {key for key in told.all_keys() if key.startswith(b"memfis://")}
            assert first_level.connections >= 2
            assert first_level.numbers == {counter(key) for key in keys}
            assert heads(read_by_lua) == read_by_lua.pages()
            assert read_by_lua.is_equal()
    finally:
        first_level.end()


# -- the same size and time as another content -------------------------------------------------


def in_the_same_second(page: Path) -> None:
    second = page.stat().st_mtime_ns // 10**9 * 10**9
    page.write_text("FRONT PAGE")
    os.utime(page, ns=(0, second + 5))


def moved_over_it(page: Path) -> None:
    new = page.with_name("new")
    new.write_text("FRONT PAGE")
    os.utime(new, ns=(0, page.stat().st_mtime_ns))
    new.rename(page)


def by_a_link(page: Path) -> None:
    new = page.with_name("new")
    new.write_text("FRONT PAGE")
    os.utime(new, ns=(0, page.stat().st_mtime_ns))
    page.unlink()
    page.symlink_to(new.name)


@pytest.mark.parametrize("change", [in_the_same_second, moved_over_it, by_a_link])
def test_another_content_of_the_same_size_and_second_has_an_etag_of_its_own(
    read_by_lua: Filled, change: Callable[[Path], None]
) -> None:
    page = read_by_lua.root / "index.html"
    os.utime(page, ns=(0, 1_700_000_000_123_456_789))
    read_by_lua.sync()
    assert are_right(read_by_lua)
    change(page)
    read_by_lua.sync()
    assert head(read_by_lua, b"/") == by_content(b"FRONT PAGE")
    assert flags(read_by_lua, b"/") & NEEDS_HEAD
    assert read_by_lua.is_equal()


def test_it_keeps_that_until_its_time_tells_it_again(read_by_lua: Filled) -> None:
    page = read_by_lua.root / "index.html"
    os.utime(page, ns=(0, 1_700_000_000_000_000_000))
    settle()
    read_by_lua.sync()
    for content in ("FRONT PAGE", "front page", "front page"):
        page.write_text(content)
        os.utime(page, ns=(0, 1_700_000_000_000_000_001))
        settle()
        read_by_lua.sync()
        assert head(read_by_lua, b"/") == by_content(content.encode())
    page.chmod(0o664)  # only its record is written
    assert read_by_lua.sync().unchanged == 3
    read_by_lua.store.delete_many([directory_key(SITE, b"/docs/"), head_key(SITE, b"/")])
    read_by_lua.sync()
    assert head(read_by_lua, b"/") == by_content(b"front page")
    os.utime(page, ns=(0, 1_700_000_001_000_000_000))
    read_by_lua.sync()
    assert are_right(read_by_lua)
    assert not flags(read_by_lua, b"/") & NEEDS_HEAD
    assert read_by_lua.is_equal()


def test_it_is_remembered_whoever_reads(filled: Filled) -> None:
    page = filled.root / "index.html"
    os.utime(page, ns=(0, 1_700_000_000_000_000_000))
    filled.sync()
    in_the_same_second(page)
    filled.sync()
    assert not flags(filled, b"/") & NEEDS_HEAD
    filled.site = replace(filled.site, from_memory="lua")
    filled.sync()
    assert head(filled, b"/") == by_content(b"FRONT PAGE")
    assert filled.is_equal()


@pytest.mark.parametrize("moment", [-1, 0, 10**9, 315_532_800 * 10**9, PINNED - 1])
def test_a_time_that_is_nobodys_is_told_to_nobody(read_by_lua: Filled, moment: int) -> None:
    """Of SOURCE_DATE_EPOCH, Nix, OSTree and zip: all files have it, whatever is in them."""
    for name in PAGES.values():
        os.utime(read_by_lua.root / name, ns=(0, moment))
    settle()
    read_by_lua.sync()
    for path, name in PAGES.items():
        assert head(read_by_lua, path) == by_content((read_by_lua.root / name).read_bytes())
        assert flags(read_by_lua, path) & NEEDS_HEAD
    before = sent(read_by_lua)
    assert read_by_lua.sync().unchanged == 3
    assert sent(read_by_lua) == before
    assert read_by_lua.is_equal()
    for name in PAGES.values():
        os.utime(read_by_lua.root / name, ns=(0, PINNED))
    read_by_lua.sync()
    assert are_right(read_by_lua)


# -- what an agent does ----------------------------------------------------------------------------


def test_an_agent_tells_nginx_of_what_it_writes_and_purges(
    filled: Filled, new_agent: Agents, directory: Path
) -> None:
    first_level = FirstLevel(directory / "first-level.sock")
    agent = new_agent(
        site={"from_memory": "lua"}, settings={"first_level": str(first_level.socket)}
    )
    agent.start()
    numbers = {path: counter(page_key(SITE, path)) for path in PAGES}
    try:
        wait_for(lambda: first_level.numbers == set(numbers.values()), "the fill to be told")
        filled.site = replace(filled.site, from_memory="lua")
        assert are_right(filled)
        first_level.told.clear()
        touched(filled.root)
        wait_for(lambda: bool(first_level.told), "the head to be told")
        assert first_level.numbers == {numbers[b"/"]}
        assert are_right(filled)
        first_level.told.clear()
        done = memfis("purge", "--config", agent.config, "/docs/logo.png")
        assert done.returncode == 0, done.stderr
        assert numbers[b"/docs/logo.png"] in first_level.numbers
        wait_for(lambda: are_right(filled), "the page to be written again")
    finally:
        first_level.end()
