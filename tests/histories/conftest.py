"""How many histories, and from which seed: MEMFIS_HISTORIES and MEMFIS_HISTORIES_SEED.

In CI the seed is always the same, as Hypothesis has it too: what fails there is due to the change.
"""

import os
import random

import pytest

COUNT, SEED = "MEMFIS_HISTORIES", "MEMFIS_HISTORIES_SEED"

# in the environment, because the processes of pytest-xdist inherit it
os.environ.setdefault(COUNT, "140")
NEW = "1" if "CI" in os.environ else str(random.SystemRandom().randrange(10**6))
os.environ.setdefault(SEED, NEW)


def pytest_report_header(config: pytest.Config) -> str:
    return f"histories: to repeat, {COUNT}={os.environ[COUNT]} {SEED}={os.environ[SEED]}"
