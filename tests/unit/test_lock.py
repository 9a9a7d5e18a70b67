import os
from pathlib import Path

import pytest

from memfis.errors import UsageError
from memfis.service.runtime import runtime_directory
from memfis.sync import try_lock


def test_there_is_one_writer(tmp_path: Path) -> None:
    with try_lock(tmp_path, "site.example") as first:
        with try_lock(tmp_path, "site.example") as second:
            assert (first, second) == (True, False)
        with try_lock(tmp_path, "site.example") as third:
            assert not third
    with try_lock(tmp_path, "site.example") as afterwards:
        assert afterwards


def test_sites_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with try_lock(tmp_path, "a"), try_lock(tmp_path, "b"):
        assert {path.name for path in tmp_path.iterdir()} == {"a.lock", "b.lock"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes locks for others")
def test_a_lock_that_root_made_is_the_directorys_owners(tmp_path: Path) -> None:
    os.chown(tmp_path, 64000, 64001)
    with try_lock(tmp_path, "a"):
        status = (tmp_path / "a.lock").stat()
    assert (status.st_uid, status.st_gid) == (64000, 64001)


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.lock").symlink_to("/etc/hostname")
    with pytest.raises(UsageError, match="lock"), try_lock(tmp_path, "a"):
        pass


def test_the_directory_of_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runtime_directory("/configured") == Path("/configured")
    monkeypatch.setattr("memfis.service.runtime.SYSTEM_DIRECTORY", tmp_path / "absent")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime_directory(None) == tmp_path / "memfis"
