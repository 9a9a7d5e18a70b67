"""The time in which a mount answers: what is written meanwhile, and how it ends."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from memfis.filesystem import Filesystem
from memfis.mount.adapter import Adapter
from memfis.mount.session import Session

INTERVAL = 0.05
"""Seconds between two times at which what may wait is written."""

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def answer_until_ended(session: Session, adapter: Adapter, filesystem: Filesystem) -> list[str]:
    """Answer until it is unmounted or told to end; return what could not be written to the store.

    What is pending is written before it is unmounted, if it is us who unmount it.
    """
    over = threading.Event()
    with _signals(session) as signalled:
        writer = threading.Thread(
            target=_write,
            args=(session, adapter, over, signalled, threading.get_ident()),
            daemon=True,
        )
        writer.start()
        try:
            session.serve()
        finally:
            over.set()
            writer.join()
        lost = filesystem.close()
        session.unmount()
    return lost


def _write(
    session: Session, adapter: Adapter, over: threading.Event, signalled: int, server: int
) -> None:
    """Write what is pending, again and again, until it is `over`.

    A signal that comes between two requests would be heeded only after the next one: libfuse waits
    for it, and not Python. So it is sent on to the thread `server` until that is no longer there.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    write_pending = adapter.guarded(adapter.write_pending)
    told = False
    while not over.wait(INTERVAL):
        with session.lock:
            write_pending()
        told = told or bool(_read(signalled))
        if told:
            signal.pthread_kill(server, signal.SIGTERM)


@contextmanager
def _signals(session: Session) -> Iterator[int]:
    """Stop the session at `ENDING` signals; yield a file with something to read when one came."""

    def end(number: int, frame: FrameType | None) -> None:
        session.stop()

    came, noted = os.pipe2(os.O_NONBLOCK)
    before = {number: signal.signal(number, end) for number in ENDING}
    woken = signal.set_wakeup_fd(noted, warn_on_full_buffer=False)
    try:
        yield came
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(came)
        os.close(noted)


def _read(file: int) -> bytes:
    try:
        return os.read(file, 64)
    except BlockingIOError:
        return b""
