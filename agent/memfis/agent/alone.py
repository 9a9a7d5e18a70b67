"""A process that keeps one site for the agent: `python -m memfis.agent.alone DESCRIPTOR`.

It ends when the agent does, or closes its end of the socket.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from dataclasses import replace

from memfis.agent.apart_messages import (
    SIGN_OF_LIFE,
    Answer,
    Begin,
    Ended,
    Log,
    Progress,
    Purge,
    State,
    Sync,
    framed,
    receive,
)
from memfis.errors import MemfisError
from memfis.keeper import SiteKeeper
from memfis.nginx.hints import Hint
from memfis.sync import Report


class _LogToAgent(logging.Handler):
    def __init__(self, writer: asyncio.StreamWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        self._writer.write(framed(Log(record.levelno, self.format(record))))


def _state(keeper: SiteKeeper) -> State:
    return State(
        begun=keeper.begun.is_set(),
        pages=keeper.pages,
        syncs=keeper.syncs,
        last_sync=keeper.last_sync,
        waiting=keeper.waiting,
        watched=keeper.watched,
        problems=keeper.problems.kinds(),
        held=keeper.held,
        rendering=keeper.rendering_status(),
        store_is_down=keeper.health.is_down,
        figures=keeper.health.figures,
    )


class _Alone:
    """Does what the agent asks with the one site."""

    def __init__(
        self, begin: Begin, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._keeper = SiteKeeper(
            begin.site,
            begin.locks,
            mime_types=begin.mime_types,
            installation=begin.installation,
        )
        self._reader, self._writer = reader, writer
        self._answering: set[asyncio.Task[None]] = set()
        self._told: Report | None = None

    async def run(self) -> None:
        """Go on until the agent wants no more."""
        tasks = [asyncio.create_task(each) for each in (self._keep(), self._listen(), self._tell())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for each in (*tasks, *self._answering):
                each.cancel()
            await asyncio.gather(*tasks, *self._answering, return_exceptions=True)

    async def _keep(self) -> None:
        try:
            await self._keeper.keep()
        except* MemfisError as group:
            self._writer.write(framed(Ended(group.exceptions[0])))
            await self._writer.drain()

    async def _tell(self) -> None:
        while True:
            self._tell_now()
            await self._writer.drain()
            await asyncio.sleep(SIGN_OF_LIFE)

    def _tell_now(self) -> None:
        report = self._keeper.report
        if report is not None and report is not self._told:
            self._told = report
            self._writer.write(framed(report))
        self._writer.write(framed(_state(self._keeper)))

    async def _listen(self) -> None:
        while (request := await receive(self._reader)) is not None:
            match request:
                case Hint():
                    self._keeper.hint(request)
                case Sync() | Purge():
                    task = asyncio.create_task(self._answer(request))
                    self._answering.add(task)
                    task.add_done_callback(self._answering.discard)

    async def _answer(self, request: Sync | Purge) -> None:
        number = request.number

        def progress(what: object) -> None:
            self._writer.write(framed(Progress(number, what)))  # type: ignore[arg-type]

        try:
            if isinstance(request, Purge):
                done = Answer(
                    number,
                    await self._keeper.purge(request.patterns, dry_run=request.dry_run),
                )
            else:
                options = replace(request.options, progress=progress, seen=progress)
                done = Answer(number, await self._keeper.ask(options))
        except MemfisError as error:
            done = Answer(number, error)
        self._tell_now()
        self._writer.write(framed(done))


async def _main(descriptor: int) -> None:
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    begin = await receive(reader)
    if begin is None:
        return
    log = logging.getLogger("memfis")
    log.handlers = [_LogToAgent(writer)]
    log.setLevel(begin.level)
    log.propagate = False
    try:
        await _Alone(begin, reader, writer).run()
    finally:
        writer.close()


def main() -> None:
    """Keep the site that the agent names over the socket whose descriptor is the argument."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the agent gets them too, and ends us
    with contextlib.suppress(ConnectionError):
        asyncio.run(_main(int(sys.argv[1])))


if __name__ == "__main__":
    main()
