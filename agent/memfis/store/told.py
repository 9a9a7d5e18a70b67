"""nginx is told which pages changed: then it shows nothing of before from memory of its own.

It has 4,096 counters, and shows a page from its own memory only while the counter of the page's key
is as it was before the page was fetched. To tell is to move counters on: `POST /changed`, with
their numbers or `all`, at a socket of nginx's. 204: every process of nginx sees it.
"""

import logging
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from memfis.layout.keys import COUNTERS, counter
from memfis.store.connection import text_of

PATIENCE = 1.0
"""Seconds to wait for nginx; and then in which nobody waits for it again. What it was not told
meanwhile it shows no longer than for its own second of freshness."""

TOGETHER = 0.02
"""Seconds between two messages where many changes are told together."""

LONGEST = 8192
"""Bytes of an answer that are read at most: it has none but its head."""

log = logging.getLogger("memfis")


class Teller:
    """Tells the nginx that listens at one socket, over a connection that is kept."""

    def __init__(self, path: str) -> None:
        """Remember the `path` of the socket; connect when there is something to tell."""
        self._path = path
        self._socket: socket.socket | None = None
        self._untold: set[int] = set()
        """Counters that nginx is to move on, and has not: they go with what is told next."""
        self._put_off = 0.0
        """Until when nothing is told, as time.monotonic(); 0: it is told at once."""
        self._again = 0.0
        """When to ask again an nginx that has not answered, as time.monotonic()."""
        self._fails = False

    def tell(self, keys: Iterable[bytes]) -> None:
        """Tell that the items at `keys` may have changed; return when no old value is shown.

        Where nginx does not run there is nobody to tell. It raises nothing: the first of several
        failures is logged.
        """
        self._untold.update(number for key in keys if (number := counter(key)) is not None)
        if time.monotonic() >= self._put_off:
            self._tell()

    def tell_all(self) -> None:
        """Tell that any item may have changed."""
        self._untold.update(range(COUNTERS))
        self._tell()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Tell of many changes with few messages: at the end, however it went, and now and then."""
        self._put_off = time.monotonic() + TOGETHER
        try:
            yield
        finally:
            self._put_off = 0.0
            self._tell()

    def _tell(self) -> None:
        moment = time.monotonic()
        if self._put_off:
            self._put_off = moment + TOGETHER
        if not self._untold or moment < self._again:
            return
        whole = len(self._untold) == COUNTERS
        try:
            self._post(b"all" if whole else b" ".join(b"%d" % each for each in self._untold))
        except (FileNotFoundError, ConnectionRefusedError):
            self.close()  # it does not run, so it remembers nothing
        except OSError as error:
            self.close()
            if isinstance(error, TimeoutError):
                self._again = time.monotonic() + PATIENCE
            if not self._fails:
                log.warning(
                    "nginx cannot be told at %s what changed: %s; visitors may be shown what was"
                    " there before for as long as it keeps pages fresh by itself, a second",
                    self._path,
                    "no answer in time" if isinstance(error, TimeoutError) else error,
                )
            self._fails = True
            return
        else:
            if self._fails:
                log.info("nginx is told again at %s what changed", self._path)
        self._fails = False
        self._untold.clear()

    def close(self) -> None:
        """Close the connection; what is told next opens a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _post(self, body: bytes) -> None:
        """Send `body`; raises OSError unless nginx did what it says."""
        kept = self._socket is not None
        try:
            answer = self._ask(body)
        except (BrokenPipeError, ConnectionResetError):
            if not kept:
                raise
            self.close()  # nginx closes a connection now and then, and when it is reloaded
            answer = self._ask(body)
        status = answer.partition(b"\r\n")[0]
        if not status.startswith(b"HTTP/1.1 204"):
            raise OSError(f"it answered {text_of(status)!r}")

    def _ask(self, body: bytes) -> bytes:
        """Return the answer to `body`, down to the end of its head at least."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(PATIENCE)
            self._socket.connect(self._path)
        self._socket.sendall(
            b"POST /changed HTTP/1.1\r\nHost: memfis\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        answer = b""
        while b"\r\n\r\n" not in answer and len(answer) < LONGEST:
            more = self._socket.recv(LONGEST)
            if not more:
                raise ConnectionResetError("it closed the connection")
            answer += more
        return answer
