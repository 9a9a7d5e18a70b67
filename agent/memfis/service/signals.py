"""Signals to a daemon, as events of its loop."""

import asyncio
import signal
from types import TracebackType
from typing import Self


class Signals:
    """SIGINT and SIGTERM ask to stop; SIGHUP, where it is wanted, to read the settings again."""

    def __init__(self, *, hangup: bool = False) -> None:
        """Catch the signals while it is entered; the loop must run in the main thread."""
        self.stop = asyncio.Event()
        self.reload = asyncio.Event()
        self._events = {signal.SIGINT: self.stop, signal.SIGTERM: self.stop}
        if hangup:
            self._events[signal.SIGHUP] = self.reload

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number, event in self._events.items():
            loop.add_signal_handler(number, event.set)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        ending = self.stop.is_set()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self._events)
        for number in self._events:
            asyncio.get_running_loop().remove_signal_handler(number)
            if ending:  # whoever asks once more must not disturb the cleaning up
                signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
