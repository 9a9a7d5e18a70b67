"""How often Python looks for objects that refer to each other and to nothing else."""

import gc

THRESHOLDS = 50_000, 20, 20
"""New objects, then rounds, after which Python searches (gc.set_threshold()); else 700, 10, 10."""


def collect_rarely() -> None:
    """Let what is there now stay for good, and what comes later be searched for cycles rarely.

    In a process that is busy and long-lived, objects are rarely part of a cycle: to search for some
    after every 700 took 3 % of the processor time of a bulk sync through the gateway.
    """
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
