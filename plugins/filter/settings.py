"""The role's variables: refused with every reason, or made complete (agent/memfis/settings)."""

import sys
from pathlib import Path

from ansible.utils.display import Display

# The declaration of all settings is the agent's; it needs only Python's standard library.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "agent"))

from memfis.service.sandbox import unit_needs
from memfis.settings.needs import needs_of_host
from memfis.settings.play import (
    complete_gateway,
    complete_mounts,
    complete_sites,
    couchbase_host_problems,
    for_agent,
    own_names,
    problems,
    source_path,
    store_url,
    strange_names,
)


def told_problems(variables, names, host):
    """Return the problems of `variables`; warn once of each of `names` that is none of ours."""
    for name in strange_names(names):
        Display().warning(f"{name}: no variable of memfis has this name, so it changes nothing")
    return problems(variables, names, host)


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Return the filters by name."""
        return {
            "own_names": own_names,
            "problems": told_problems,
            "couchbase_variable_problems": couchbase_host_problems,
            "complete_sites": complete_sites,
            "complete_mounts": complete_mounts,
            "complete_gateway": complete_gateway,
            "needs_of_host": needs_of_host,
            "for_agent": for_agent,
            "source_path": source_path,
            "store_url": store_url,
            "unit_needs": unit_needs,
        }
