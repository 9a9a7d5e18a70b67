"""How long things may wait in a filesystem, and the clocks that this is measured by."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of one filesystem, in seconds where nothing else is said."""

    timeout: float = 1.0
    """After which the store is asked whether others changed a directory."""
    batch: float = 0.0
    """That what is closed or removed waits for more in its directory, so that their records are
    written at once; 0: nothing waits, and a close has its error."""
    clock: Callable[[], float] = time.monotonic
    """Seconds, from whenever."""
    now: Callable[[], int] = time.time_ns
    """Nanoseconds since the epoch."""
