"""Workers in processes of their own, so that a large tree keeps every core busy."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any, NamedTuple, Self

from memfis.errors import MemfisError
from memfis.sync.difference import Task
from memfis.sync.options import Options
from memfis.sync.target import Target
from memfis.sync.worker import Apply, Compare, Outcome, Worker

STOPPING = 5.0
"""Seconds that a worker gets to end by itself."""

AHEAD = 2
"""Requests that a worker has, the one it works on included."""

FILES = 200
"""Files between two words on progress."""


class Forget(NamedTuple):
    """A request without an answer: `Worker.forget`."""

    path: bytes


class FilesDone(NamedTuple):
    """Part of an answer: so many more files were dealt with."""

    files: int


class AnswerEnd(NamedTuple):
    """The end of an answer."""


class WorkerFailed(NamedTuple):
    """The end of an answer, and of the worker."""

    error: MemfisError


class WorkerProcess:
    """One worker; `connection` becomes readable when it has something to say."""

    def __init__(self, process: ForkProcess, connection: Connection) -> None:
        """Talk over `connection` to a `process` that was started."""
        self.connection = connection
        self._process = process
        self._asked: deque[Compare | Apply] = deque()

    @classmethod
    def start(cls, target: Target, options: Options) -> Self:
        """Start one that works on `target`. This process must have no other thread (fork(2))."""
        context = multiprocessing.get_context("fork")
        near, far = context.Pipe()
        process = context.Process(target=_work, args=(far, near, target, options), daemon=True)
        process.start()
        far.close()
        return cls(process, near)

    @property
    def busy(self) -> bool:
        """Whether it has anything to do."""
        return bool(self._asked)

    @property
    def has_room(self) -> bool:
        """Whether it should be given more, so that it need not wait for it."""
        return len(self._asked) < AHEAD

    @property
    def tasks(self) -> Iterator[Task]:
        """What it is to compare, or is comparing."""
        return chain.from_iterable(each.tasks for each in self._asked if isinstance(each, Compare))

    def ask(self, request: Compare | Apply) -> None:
        """Give it something to do; raises MemfisError when it died."""
        self._asked.append(request)
        self._send(request)

    def forget(self, path: bytes) -> None:
        """Make it drop what it holds of the directory at URL path `path`."""
        self._send(Forget(path))

    def answer(self) -> Outcome | FilesDone | None:
        """Return the next part of an answer, None at its end; raises what it failed with."""
        try:
            message = self.connection.recv()
        except (EOFError, ConnectionError) as error:
            raise self._died() from error
        if isinstance(message, WorkerFailed):
            raise message.error
        if isinstance(message, AnswerEnd):
            self._asked.popleft()
            return None
        part: Outcome | FilesDone = message
        return part

    def stop(self) -> None:
        """End it, in the middle of what it does if need be."""
        self.connection.close()
        if self.busy:
            self._process.terminate()
        self._process.join(STOPPING)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        self._process.close()

    def _send(self, request: Any) -> None:
        try:
            self.connection.send(request)
        except OSError as error:
            raise self._died() from error

    def _died(self) -> MemfisError:
        self._process.join(STOPPING)
        return MemfisError(
            f"a worker of the sync ended before its time (exit code {self._process.exitcode});"
            " was it killed for want of memory?"
        )


def ready(workers: Sequence[WorkerProcess], timeout: float | None) -> list[WorkerProcess]:
    """Return those of `workers` that have something to say, after `timeout` seconds at most."""
    said = set(wait([worker.connection for worker in workers if worker.busy], timeout))
    return [worker for worker in workers if worker.connection in said]


def _work(
    requests: Connection,
    other_end: Connection,
    target: Target,
    options: Options,
) -> None:
    """Do what is asked until the other end is closed."""
    other_end.close()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # whoever started us ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    files = 0

    def progress(number: int) -> None:
        nonlocal files
        files += number
        if files >= FILES:
            requests.send(FilesDone(files))
            files = 0

    own = target.store.anew()
    worker = Worker(target.through(own), replace(options, progress=progress))
    try:
        while True:
            match requests.recv():
                case Compare() as request:
                    requests.send(worker.compare(request))
                case Apply() as request:
                    for outcome in worker.apply(request):
                        requests.send(outcome)
                case Forget(path):
                    worker.forget(path)
                    continue
            requests.send(AnswerEnd())
    except MemfisError as error:
        requests.send(WorkerFailed(error))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # nobody is interested any more
    finally:
        own.close()
