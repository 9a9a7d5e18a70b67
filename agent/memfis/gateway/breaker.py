"""When not to ask a database that does not answer."""

from collections.abc import Callable


class Breaker:
    """Opens after some failures in a row, and closes when a probe is answered.

    While it is open nobody's request is tried: `probe_due` says when the gateway itself may ask
    once. So no visitor waits to find out that the database is still away.
    """

    def __init__(self, failures: int, retry: float, clock: Callable[[], float]) -> None:
        """Open after `failures`; let a probe be tried every `retry` seconds of `clock`."""
        self._limit, self._retry, self._clock = failures, retry, clock
        self._failures = 0
        self._next = 0.0
        self.is_open = False
        self.opened = 0
        """How many times it opened."""
        self.reason = ""

    def succeeded(self) -> None:
        """Note an answer of any kind."""
        self._failures = 0
        self.is_open = False

    def failed(self, reason: str) -> None:
        """Note that there was no answer."""
        self._failures += 1
        self.reason = reason
        if self._failures >= self._limit:
            if not self.is_open:
                self.opened += 1
            self.is_open = True
            self._next = self._clock() + self._retry

    @property
    def probe_due(self) -> bool:
        """Whether it is open and was left alone for long enough."""
        return self.is_open and self._clock() >= self._next
