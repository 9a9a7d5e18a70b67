import re
from collections.abc import Callable

import pytest

from memfis.catalog.directory_log import DirectoryLog, Recorded, Version
from memfis.errors import StoreRefusedError
from memfis.layout.records import Entry, encode_log, encode_records, tombstone
from memfis.store import Answer, Request

KEY = b"memfis-dir://site.example/"
FILE = Entry("file", 0o100644)
PAGE = Entry("/page", 0o100644, origin="rendered")


class OneItem:
    """A store of one item, which others may come between two requests to."""

    def __init__(self, value: bytes | None = None) -> None:
        self.value = value
        self.cas = 1
        self.refuses = 0
        """How many more writes find no room; the item goes with the first, as in memcached."""
        self.between: list[Callable[[], object]] = []
        """What others do, each before one more request."""

    def write(self, value: bytes) -> Answer:
        self.value = value
        self.cas += 1
        return Answer(b"HD", cas=self.cas)

    def exchange(self, *requests: Request) -> list[Answer]:
        return [self._answer(*request) for request in requests]

    def _answer(self, line: bytes, data: bytes = b"", _: bytes = b"") -> Answer:
        if self.between:
            self.between.pop(0)()
        command, key, *words = line.split()
        assert key == KEY
        if command == b"mg":
            if self.value is None:
                return Answer(b"EN")
            return Answer(b"HD", self.value, size=len(self.value), cas=self.cas)
        expected = next((int(word[1:]) for word in words if re.fullmatch(rb"C\d+", word)), None)
        if expected is not None and self.value is None:
            return Answer(b"NS" if b"MA" in words else b"NF")
        if expected not in (None, self.cas):
            return Answer(b"EX")
        if command == b"md":
            self.value = None
            return Answer(b"HD")
        if self.refuses:
            self.refuses -= 1
            self.value = None
            return Answer(b"", refusal="out of memory storing object")
        if b"MA" in words:
            return Answer(b"NS") if self.value is None else self.write(self.value + data)
        if b"ME" in words and self.value is not None:
            return Answer(b"NS")
        return self.write(data)


@pytest.fixture
def store() -> OneItem:
    return OneItem(encode_log([FILE]))


@pytest.fixture
def log(store: OneItem) -> DirectoryLog:
    return DirectoryLog(store, KEY)


def test_absent_and_damaged_logs_are_told_apart(log: DirectoryLog, store: OneItem) -> None:
    store.value = None
    assert log.read() == Recorded(None, None)
    store.value = b"something else"
    assert log.read() == Recorded(None, Version(1, len(store.value)))
    assert log.read().entries == {}


def test_a_log_is_made_only_where_there_is_none(log: DirectoryLog, store: OneItem) -> None:
    assert not log.make([PAGE])
    assert log.read().entries == {"file": FILE}
    store.value = None
    assert log.make([PAGE])
    assert log.read().entries == {"/page": PAGE}


def test_a_log_is_appended_to_as_it_was_read(log: DirectoryLog) -> None:
    version = log.version()
    assert log.append([PAGE]).done
    assert log.append([tombstone("file")], to=version).status == b"EX"
    assert log.append([tombstone("file")], to=log.version()).done
    assert log.read().entries == {"/page": PAGE}


def test_what_was_rendered_meanwhile_is_kept_when_a_log_is_made_anew(
    log: DirectoryLog, store: OneItem
) -> None:
    other = Entry("/other", 0o100644, origin="rendered")
    foreign = Entry("foreign", 0o100644)
    store.value = encode_log([PAGE, foreign])
    store.between = [
        lambda: None,
        lambda: None,
        lambda: store.write(encode_log([PAGE, foreign, other])),
    ]
    entries = {"file": FILE}
    log.make_anew(entries)
    assert log.read().entries == entries == {"file": FILE, "/page": PAGE, "/other": other}


def test_a_damaged_log_is_made_anew(log: DirectoryLog, store: OneItem) -> None:
    store.value = b"something else"
    log.make_anew({"file": FILE})
    assert store.value == encode_log([FILE])


def test_a_log_that_changes_all_the_time_is_given_up(log: DirectoryLog, store: OneItem) -> None:
    store.between = [lambda: store.write(encode_log([PAGE]))] * 1000
    with pytest.raises(StoreRefusedError, match="all the time"):
        log.make_anew({"file": FILE})


def test_compaction_drops_what_is_overtaken(log: DirectoryLog, store: OneItem) -> None:
    log.append([PAGE, tombstone("file")])
    before = log.version()
    done = log.compact()
    assert done is not None
    assert (done.before, done.after, done.records) == (before, log.version(), 1)
    assert store.value == encode_log([PAGE])


def test_what_is_not_overtaken_is_not_written_again(log: DirectoryLog) -> None:
    before = log.version()
    done = log.compact()
    assert done is not None
    assert done.before == done.after == before == log.version()


def test_compaction_gives_way_to_who_writes_meanwhile(log: DirectoryLog, store: OneItem) -> None:
    log.append([tombstone("file")])
    assert store.value is not None
    longer = store.value + encode_records([PAGE])
    store.between = [lambda: None, lambda: store.write(longer)]
    assert log.compact() is None
    assert store.value == longer


def test_compaction_uses_the_room_of_the_longer_log(log: DirectoryLog, store: OneItem) -> None:
    """memcached lets the old item go when it has no room for the new one."""
    log.append([PAGE, tombstone("file")])
    store.refuses = 1
    done = log.compact()
    assert done is not None
    assert done.after == log.version()
    assert store.value == encode_log([PAGE])
    log.append([PAGE])
    store.refuses = 2
    with pytest.raises(StoreRefusedError, match="out of memory"):
        log.compact()


def test_a_log_is_removed_as_it_was_read(log: DirectoryLog) -> None:
    version = log.version()
    log.append([PAGE])
    assert not log.remove(version)
    assert log.remove(log.version())
    assert log.version() is None
    assert log.remove()


@pytest.mark.parametrize("value", [None, encode_log([PAGE]), b"something else"])
def test_a_log_that_nobody_names_is_emptied(
    log: DirectoryLog, store: OneItem, value: bytes | None
) -> None:
    store.value = value
    assert log.empty()
    assert store.value == encode_log(())


def test_who_writes_meanwhile_is_not_emptied(log: DirectoryLog, store: OneItem) -> None:
    store.between = [lambda: None, lambda: store.write(encode_log([PAGE]))]
    assert not log.empty()
    store.value = None
    store.between = [lambda: None, lambda: store.write(encode_log([PAGE]))]
    assert not log.empty()
    assert store.value == encode_log([PAGE])
