"""The role's variables: refused with every reason, or made complete (agent/memfis/settings)."""

import sys
from pathlib import Path

# The declaration of all settings is the agent's; it needs only Python's standard library.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "agent"))

from memfis.service.sandbox import unit_needs
from memfis.settings.play import (
    complete_gateway,
    complete_mounts,
    complete_sites,
    couchbase_host_problems,
    for_agent,
    own_names,
    problems,
    store_url,
)


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Return the filters by name."""
        return {
            "own_names": own_names,
            "problems": problems,
            "couchbase_variable_problems": couchbase_host_problems,
            "complete_sites": complete_sites,
            "complete_mounts": complete_mounts,
            "complete_gateway": complete_gateway,
            "for_agent": for_agent,
            "store_url": store_url,
            "unit_needs": unit_needs,
        }
