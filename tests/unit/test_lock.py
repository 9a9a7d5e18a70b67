import os
import threading
from pathlib import Path

import pytest

from memfis.errors import UsageError
from memfis.sync import site_lock
from memfis.sync.lock import runtime_directory


def test_a_second_writer_waits_for_the_first(tmp_path: Path) -> None:
    order = []
    waiting = threading.Event()

    def second() -> None:
        waiting.set()
        with site_lock(tmp_path, "site.example"):
            order.append("second")

    thread = threading.Thread(target=second)
    with site_lock(tmp_path, "site.example"):
        thread.start()
        waiting.wait()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_sites_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with site_lock(tmp_path, "a"), site_lock(tmp_path, "b"):
        assert {path.name for path in tmp_path.iterdir()} == {"a.lock", "b.lock"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes locks for others")
def test_a_lock_that_root_made_is_the_directorys_owners(tmp_path: Path) -> None:
    os.chown(tmp_path, 64000, 64001)
    with site_lock(tmp_path, "a"):
        status = (tmp_path / "a.lock").stat()
    assert (status.st_uid, status.st_gid) == (64000, 64001)


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.lock").symlink_to("/etc/hostname")
    with pytest.raises(UsageError, match="lock"), site_lock(tmp_path, "a"):
        pass


def test_the_directory_of_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runtime_directory("/configured") == Path("/configured")
    monkeypatch.setattr("memfis.sync.lock.SYSTEM_DIRECTORY", tmp_path / "absent")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime_directory(None) == tmp_path / "memfis"
