import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from memfis.errors import UsageError
from memfis.service.sockets import take_over


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "it.sock"


@pytest.fixture(params=[socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["stream", "datagram"])
def bound(request: pytest.FixtureRequest, path: Path) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_UNIX, request.param)) as listener:
        listener.bind(str(path))
        if request.param == socket.SOCK_STREAM:
            listener.listen(0)
        yield listener


def test_what_nobody_listens_at_is_removed(path: Path, bound: socket.socket) -> None:
    bound.close()
    take_over(str(path), bound.type)
    assert not path.exists()


def test_what_is_not_there_is_no_error(path: Path) -> None:
    take_over(str(path))


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_what_somebody_listens_at_stays(path: Path, bound: socket.socket, kind: int) -> None:
    with pytest.raises(UsageError, match="another process listens there"):
        take_over(str(path), kind)
    assert path.exists()


def test_who_has_more_clients_than_he_accepts_listens_too(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(path))
        listener.listen(0)
        client.connect(str(path))
        with pytest.raises(UsageError, match="another process listens there"):
            take_over(str(path))


def test_a_file_is_no_socket(path: Path) -> None:
    path.touch()
    with pytest.raises(UsageError, match="no socket"):
        take_over(str(path))
    assert path.exists()
