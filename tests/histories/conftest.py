"""How many histories, and from which seed: MEMFIS_HISTORIES and MEMFIS_HISTORIES_SEED."""

import os
import random

import pytest

COUNT, SEED = "MEMFIS_HISTORIES", "MEMFIS_HISTORIES_SEED"

# in the environment, because the processes of pytest-xdist inherit it
os.environ.setdefault(COUNT, "200")
os.environ.setdefault(SEED, str(random.SystemRandom().randrange(10**6)))


def pytest_report_header(config: pytest.Config) -> str:
    return f"histories: to repeat, {COUNT}={os.environ[COUNT]} {SEED}={os.environ[SEED]}"
