"""Files that may change once more without a new modification time (git calls them racy too)."""

import os

TICK = 20_000_000
"""Nanoseconds in which a file may change again without a new modification time: the kernel's clock
for files ticks every 1 to 10 ms (CONFIG_HZ), and what it says may be a tick old."""


def is_racy(status: os.stat_result, read: int) -> bool:
    """Whether the file may have changed after it was read without leaving a trace.

    `read`: when that was at the earliest, in nanoseconds since the epoch. So may one that was
    changed in the future: the clock went back.
    """
    return status.st_ctime_ns > read - TICK
