"""A store that takes its time: between nginx and a memcached, it holds answers back."""

import asyncio
import random
import threading
from pathlib import Path


class SlowStore:
    """Passes on what it is sent to the memcached at `behind`, and every answer after a while.

    `delay`: seconds, of which each answer takes a random part. `commands` counts what was sent.
    """

    def __init__(self, socket: Path, behind: Path, delay: float) -> None:
        self.address = f"unix:{socket}"
        self.commands: list[bytes] = []
        self.delay = delay
        self._socket, self._behind = socket, behind
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        listens = asyncio.start_unix_server(self._serve, self._socket)
        self._server = asyncio.run_coroutine_threadsafe(listens, self._loop).result()
        self._socket.chmod(0o777)

    def end(self) -> None:
        """Listen no more."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        own = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not own]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, commands = await asyncio.open_unix_connection(self._behind)
        back = asyncio.create_task(self._pass_back(answers, writer))
        try:
            while data := await reader.read(2**16):
                self.commands += data.splitlines()
                commands.write(data)
        finally:
            back.cancel()
            commands.close()
            writer.close()

    async def _pass_back(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await answers.read(2**20):
            await asyncio.sleep(random.random() * self.delay)
            writer.write(data)
