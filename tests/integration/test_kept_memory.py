"""The memory of the embedded store over a restart: kept whole, or not at all."""

import json
import os
import re
import shutil
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.directory import reachable_directory
from support.kept_store import KeptStore

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a tmpfs")

UNTOLD = "memcached did not say what its memory holds: it was killed, or has failed"
PAGES = {b"a": b"one", b"b": b"two" * 10_000, b"large": os.urandom(3_000_000)}


@pytest.fixture
def store(directory: Path) -> Iterator[KeptStore]:
    """A store with some items, which runs for the first time."""
    store = KeptStore(directory)
    try:
        assert store.restart() == "started empty: no memory is kept"
        for number, (key, value) in enumerate(PAGES.items()):
            store.put(key, value, flags=number, expire=1000)
        yield store
    finally:
        store.end()


@pytest.fixture(scope="module")
def kept() -> Iterator[tuple[bytes, Path]]:
    """The mark of a kept memory, and the memory."""
    with reachable_directory() as directory:
        store = KeptStore(directory)
        try:
            store.start()
            store.put(b"a", b"one")
            store.stop()
            store.shut_down()
        finally:
            store.end()
        yield (store.kept / "mark").read_bytes(), store.kept / "memory"


def is_empty(store: KeptStore) -> bool:
    """Return whether the store has nothing, and takes an item."""
    found = store.items()
    store.put(b"new", b"new")
    with store.client() as client:
        assert client.get(b"new") == b"new"
    return not found


def has_all(store: KeptStore) -> bool:
    """Return whether all of PAGES are there, with their flags and times to live."""
    with store.client() as client:
        state = client.raw_command(b"mg large f t").split()
        return (
            client.get_many(PAGES) == PAGES
            and state[:2] == [b"HD", b"f2"]
            and 900 < int(state[2][1:]) <= 1000
        )


def test_a_restart_copies_nothing(store: KeptStore) -> None:
    before = store.items()
    for _ in range(2):
        assert re.fullmatch(r"memory: [\d.]+ MB stay", store.stop())
        assert os.listdir(store.kept) == []
        said = store.restart()
        assert re.fullmatch(r"memory kept: [\d.]+ MB of [-\d]+ [:\d]+; 3 items", said)
        assert store.items() == before
        assert has_all(store)


def test_all_is_there_after_boots(store: KeptStore) -> None:
    before = store.items()
    for _ in range(2):
        store.stop()
        assert re.fullmatch(r"memory: [\d.]+ MB of 67.1 MB kept", store.shut_down())
        assert os.listdir(store.memory) == []
        assert {*os.listdir(store.kept)} == {"memory", "mark"}
        for name in os.listdir(store.kept):
            assert stat.S_IMODE((store.kept / name).stat().st_mode) == 0o600
        assert re.fullmatch(r"memory: [\d.]+ MB read", store.boot())
        assert os.listdir(store.kept) == []
        assert store.restart().endswith("; 3 items")
        assert store.items() == before
        assert has_all(store)


def test_what_is_empty_takes_no_room(store: KeptStore) -> None:
    store.stop()
    store.shut_down()
    copy = (store.kept / "memory").stat()
    assert copy.st_size == store.limit * 1024**2
    assert copy.st_blocks * 512 < copy.st_size


def test_time_goes_on_while_it_is_stopped(store: KeptStore) -> None:
    store.put(b"short", b"", expire=2)
    store.stop()
    time.sleep(2)
    store.restart()
    with store.client() as client:
        assert client.get_many([b"short", b"a"]) == {b"a": b"one"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_memory_is_used_once(store: KeptStore, number: signal.Signals) -> None:
    store.stop()
    store.shut_down()
    store.boot()
    store.restart()
    store.put(b"a", b"changed")
    assert store.stop(number) == f"the next start is empty: {UNTOLD}"
    assert {*os.listdir(store.memory), *os.listdir(store.kept)} == {"lost"}
    assert store.restart() == f"started empty: {UNTOLD}"
    assert is_empty(store)
    store.stop(number)
    assert store.shut_down() == f"the next start is empty: {UNTOLD}"
    store.boot()
    assert store.restart() == "started empty: no memory is kept"


def test_a_host_that_loses_power_starts_empty(store: KeptStore) -> None:
    store.stop()
    store.shut_down()
    store.boot()
    store.restart()
    store.kill()
    store.unmount(store.memory)
    assert store.boot() == "no memory is kept"
    assert store.restart() == "started empty: no memory is kept"
    assert is_empty(store)


def test_a_start_that_fails_loses_nothing(store: KeptStore) -> None:
    store.stop()
    assert store.prepare().startswith("memory kept: ")
    assert store.say("stopped").startswith("memory: ")
    assert store.restart().endswith("; 3 items")


def test_a_memory_that_memcached_refused_is_no_whole_one(store: KeptStore) -> None:
    store.stop()
    (store.memory / "memory.meta").write_text("Tmain\n")
    assert store.restart() == "started empty: memcached took nothing of the kept memory"
    store.put(b"a", b"changed")
    assert store.stop(signal.SIGKILL) == f"the next start is empty: {UNTOLD}"


def cut(store: KeptStore) -> None:
    os.truncate(store.kept / "memory", 1_000_000)


def grow(store: KeptStore) -> None:
    os.truncate(store.kept / "memory", 70_000_000)


def flip(store: KeptStore) -> None:
    with (store.kept / "memory").open("r+b") as file:
        file.seek(os.lseek(file.fileno(), 0, os.SEEK_DATA) + 100)
        [byte] = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def remark(**changed: object) -> Callable[[KeptStore], None]:
    def change(store: KeptStore) -> None:
        path = store.kept / "mark"
        mark = json.loads(path.read_text())
        mark["terms"] |= {key: value for key, value in changed.items() if key in mark["terms"]}
        mark |= {key: value for key, value in changed.items() if key in mark}
        path.write_text(json.dumps(mark))

    return change


def mark_cut(store: KeptStore) -> None:
    os.truncate(store.kept / "mark", 100)


def unmarked(store: KeptStore) -> None:
    (store.kept / "mark").unlink()


def unfinished(store: KeptStore) -> None:
    unmarked(store)
    (store.kept / "memory").rename(store.kept / "memory.part")


def missing(store: KeptStore) -> None:
    (store.kept / "memory").unlink()


def given_away(store: KeptStore) -> None:
    os.chown(store.kept / "memory", 65534, 65534)


def mark_given_away(store: KeptStore) -> None:
    os.chown(store.kept / "mark", 65534, 65534)


def open_to_others(store: KeptStore) -> None:
    (store.kept / "memory").chmod(0o644)


def linked(store: KeptStore) -> None:
    elsewhere = store.kept.parent / "elsewhere"
    (store.kept / "memory").rename(elsewhere)
    (store.kept / "memory").symlink_to(elsewhere)


def more_memory(store: KeptStore) -> None:
    store.limit = 65


def other_items(store: KeptStore) -> None:
    store.item_size = "10m"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut, "the kept memory has 1000000 bytes, and had 67108864"),
        (grow, "the kept memory has 70000000 bytes, and had 67108864"),
        (flip, "the kept memory is damaged"),
        (remark(checksum=1), "the kept memory is damaged"),
        (remark(version="1.4.0"), "the kept memory is of memcached 1.4.0, and this is "),
        (remark(memory="64"), "the mark of the kept memory is damaged"),
        (remark(stopped=time.time() + 3600), "the memory was kept at a later time than the clock"),
        (mark_cut, "the mark of the kept memory is damaged"),
        (unmarked, "the copy of the memory was not finished"),
        (unfinished, "the copy of the memory was not finished"),
        (missing, "the file of the kept memory is missing"),
        (given_away, "/memory is owned by user 65534, not by 0"),
        (mark_given_away, "/mark is owned by user 65534, not by 0"),
        (open_to_others, "/memory has mode 0644, not 0600"),
        (linked, "/memory: Too many levels of symbolic links"),
        (more_memory, "the kept memory has 64 MiB, and it is to have 65"),
        (other_items, "the largest item was 20m, and is to be 10m"),
    ],
)
def test_what_does_not_fit_is_one_line_and_an_empty_start(
    directory: Path, kept: tuple[bytes, Path], spoil: Callable[[KeptStore], None], reason: str
) -> None:
    store = KeptStore(directory)
    try:
        spoiled(store, kept, spoil, reason)
    finally:
        store.end()


def spoiled(
    store: KeptStore, kept: tuple[bytes, Path], spoil: Callable[[KeptStore], None], reason: str
) -> None:
    (store.kept / "mark").write_bytes(kept[0])
    shutil.copy(kept[1], store.kept / "memory")
    for name in ("mark", "memory"):
        (store.kept / name).chmod(0o600)
    spoil(store)
    store.boot()
    said = store.prepare()
    assert said.startswith("started empty: ")
    assert reason in said
    assert os.listdir(store.kept) == []
    assert os.listdir(store.memory) == ["began"]


def test_a_full_disk_leaves_no_half_copy(store: KeptStore) -> None:
    store.mount(store.kept, 2)
    store.stop()
    said = store.shut_down()
    assert said == f"the next start is empty: {store.kept}: No space left on device"
    assert os.listdir(store.kept) == []
    store.boot()
    assert store.restart() == "started empty: no memory is kept"
    assert is_empty(store)


def test_without_a_tmpfs_nothing_is_kept(directory: Path) -> None:
    store = KeptStore(directory)
    try:
        store.boot()
        store.unmount(store.memory)
        said = store.restart(boot=False)
        assert "nothing will be kept" in said
        assert "is no file system of its own" in said
        assert is_empty(store)
        assert store.memfis("check").returncode == 1
        assert "without a memory to keep" in store.stop()
    finally:
        store.end()


def test_whether_a_restart_would_keep_it(store: KeptStore) -> None:
    assert store.memfis("check").returncode == 0
    store.limit = 128
    done = store.memfis("check")
    assert (done.returncode, done.stdout) == (
        1,
        "the kept memory has 64 MiB, and it is to have 128\n",
    )
    store.limit = 64
    store.mount(store.kept, 1)
    done = store.memfis("check")
    assert done.returncode == 1
    assert "has room for" in done.stdout
