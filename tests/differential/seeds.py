"""How many random requests, and where they come from.

In CI always the same: what fails there is due to the change.
"""

import os
import random

SEED = "MEMFIS_PARITY_SEED"
NEW = "1" if "CI" in os.environ else str(random.SystemRandom().randrange(10**6))
# In the environment, because the processes of pytest-xdist inherit it.
os.environ.setdefault(SEED, NEW)

NUMBER = int(os.environ.get("MEMFIS_PARITY", "1000"))


def header() -> str:
    """Return what pytest is to say first."""
    return f"differential: to repeat, MEMFIS_PARITY={NUMBER} {SEED}={os.environ[SEED]}"
