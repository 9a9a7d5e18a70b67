"""A store that answers nonsense: no real one does, so this one is written for it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from memfis.errors import StoreError
from memfis.settings.addresses import StoreAddress
from memfis.store import Item, Store
from memfis.store.wire import ItemState, Wire


@contextmanager
def answering(*answers: bytes) -> Iterator[StoreAddress]:
    """A server that sends one of `answers` to every connection, whatever it is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield StoreAddress(None, "127.0.0.1", server.getsockname()[1])
        thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"HD s1\r\n",
        b"HD sx f1 t1\r\n",
        b"\0" * 5000,
        b"HD s1 f1 t",
    ],
)
def test_an_answer_that_is_none_is_an_error(answer: bytes) -> None:
    with answering(answer) as address, pytest.raises(StoreError, match=r"memcached|closed"):
        Wire(address, 2).states([b"key"])
    with answering(answer) as address, pytest.raises(StoreError, match=r"memcached|closed"):
        Wire(address, 2).confirm([b"key"], [(1, 1)])


@pytest.mark.parametrize("answer", [b"HD s10 f20 t-1\r\nEN\r\n", b"HD s10 f20\r\nEN\r\n"])
def test_answers_split_anywhere_are_read_whole(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                for position in range(len(answer)):
                    connection.sendall(answer[position : position + 1])

        thread = threading.Thread(target=serve)
        thread.start()
        wire = Wire(StoreAddress(None, "127.0.0.1", server.getsockname()[1]), 5)
        if b"t-1" in answer:
            assert wire.states([b"one", b"two"]) == [ItemState(10, 20, -1), None]
        else:
            assert wire.confirm([b"one", b"two"], [(10, 20), (1, 1)]) == [True, False]
        wire.close()
        thread.join()


def test_an_error_in_a_quiet_batch_is_looked_into() -> None:
    answer = b"SERVER_ERROR out of memory storing object\r\nMN\r\nHD s1 f5 t-1\r\nEN\r\n"
    with answering(answer) as address:
        wire = Wire(address, 2)
        assert wire.store([Item(b"kept", b"1", 5), Item(b"lost", b"2", 6)], 0) == [
            (b"lost", "out of memory storing object")
        ]
        wire.close()


def test_a_store_that_does_not_answer_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        store = Store(StoreAddress(None, "127.0.0.1", server.getsockname()[1]), timeout=0.2)
        for call in (lambda: store.states([b"a"]), lambda: store.get(b"a")):
            with pytest.raises(StoreError, match="no answer in time"):
                call()
        store.close()
