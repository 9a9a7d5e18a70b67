"""A backend in trouble is asked less: nothing for a while after failures, then one page."""

from collections.abc import Callable

FIRST = 1.0
"""Seconds without a question after the first failures."""

LONGEST = 60.0
"""Seconds without a question at most."""

ENOUGH = 3
"""Failures in a row that mean trouble, where each may be that of one page (status 500)."""


class Trouble:
    """How a backend is doing. Times are those of `clock`, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin well."""
        self._clock = clock
        self._failures = 0
        self._pause = 0.0
        self._until = 0.0

    @property
    def is_there(self) -> bool:
        """Whether the backend failed, and did not answer since."""
        return self._pause > 0

    def pause(self) -> float:
        """Return for how many seconds nothing is to be asked; 0: ask, but one if `is_there`."""
        return max(0.0, self._until - self._clock()) if self.is_there else 0.0

    def failed(self, *, surely: bool) -> bool:
        """Note a failure; `surely`: it is the backend's, not that of a page. True: news."""
        self._failures += 1
        if not surely and self._failures < ENOUGH and not self.is_there:
            return False
        news = not self.is_there
        if not self.pause():  # those that were on their way say nothing new
            self._pause = min(LONGEST, 2 * self._pause or FIRST)
            self._until = self._clock() + self._pause
        return news

    def answered(self) -> bool:
        """Note an answer. True: the trouble is over."""
        over = self.is_there
        self._failures, self._pause = 0, 0.0
        return over
