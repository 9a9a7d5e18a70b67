"""Where random operations come from: always the same, and new ones with every run of the tests.

In CI there are no new ones, as Hypothesis has it too: what fails there is due to the change.
"""

import os
import random

SEED = "MEMFIS_CONFORMANCE_SEED"

# in the environment, because the processes of pytest-xdist inherit it
NEW = "1" if "CI" in os.environ else str(random.SystemRandom().randrange(10**6))
os.environ.setdefault(SEED, NEW)

FIXED = (1, 2)

EFFORT = int(os.environ.get("MEMFIS_CONFORMANCE_EFFORT", "1"))
"""How many times as many operations as CI has time for."""


def numbers(new: int) -> list[int]:
    """Return the fixed seeds, and `new` others that MEMFIS_CONFORMANCE_SEED leads to."""
    first = int(os.environ[SEED]) * 100
    return [*FIXED, *range(first, first + new)]


def header() -> str:
    """Return what pytest is to say first."""
    return f"conformance: to repeat, {SEED}={os.environ[SEED]}"
