"""Where random operations come from: always the same, and new ones with every run of the tests."""

import os
import random

SEED = "MEMFIS_CONFORMANCE_SEED"

# in the environment, because the processes of pytest-xdist inherit it
os.environ.setdefault(SEED, str(random.SystemRandom().randrange(10**6)))

FIXED = (1, 2)


def numbers(new: int) -> list[int]:
    """Return the fixed seeds, and `new` others that MEMFIS_CONFORMANCE_SEED leads to."""
    first = int(os.environ[SEED]) * 100
    return [*FIXED, *range(first, first + new)]


def header() -> str:
    """Return what pytest is to say first."""
    return f"conformance: to repeat, {SEED}={os.environ[SEED]}"
