"""Inode numbers: what programs tell two files apart by."""

import time
from collections.abc import Callable

from memfis.filesystem import Caller, Filesystem
from memfis.settings.values import Site

ME = Caller(0, 0)
TIMEOUT = 0.05


def numbers(filesystem: Filesystem, *paths: bytes) -> list[int]:
    time.sleep(2 * TIMEOUT)  # what others did is seen then
    return [filesystem.attributes(path).inode for path in paths]


def test_what_is_renamed_and_what_others_make_in_its_place(
    site: Site, mount: Callable[..., Filesystem]
) -> None:
    one, other = mount(site, timeout=TIMEOUT), mount(site, timeout=TIMEOUT)
    names = [b"/moved%d" % turn for turn in range(3)]
    for name in names:
        one.make_directory(b"/d", 0o755, ME)
        numbers(other, b"/d")
        other.rename(b"/d", name)
        time.sleep(2 * TIMEOUT)
    one.make_directory(b"/d", 0o755, ME)
    found = numbers(other, *names, b"/d")
    assert len(set(found)) == 4
    assert numbers(other, *names, b"/d") == found


def test_files_of_the_same_time(site: Site, mount: Callable[..., Filesystem]) -> None:
    one, other = mount(site, timeout=TIMEOUT), mount(site, timeout=TIMEOUT)
    for name in (b"/first", b"/second"):
        one.release(one.create(b"/f", 0, 0o644, ME))
        one.change_times(b"/f", None, 10**18)
        one.write_pending()
        before = numbers(other, b"/f")
        other.rename(b"/f", name)
        assert numbers(other, name) == before
    one.release(one.create(b"/f", 0, 0o644, ME))
    one.change_times(b"/f", None, 10**18)
    one.write_pending()
    assert len(set(numbers(other, b"/first", b"/second", b"/f"))) == 3
