"""Say which file of variables cannot be read: Ansible's own message names none."""

DOCUMENTATION = """
    name: readable
    author: ["memfis contributors (!UNKNOWN)"]
    short_description: Name a file of variables that cannot be read
    description:
      - Reads C(group_vars) and C(host_vars) as C(ansible.builtin.host_group_vars) does, and fails
        with the name of a file that is no YAML, or in a vault whose password was not given.
      - It adds no variables. C(vars_plugins_enabled = memfis.memfis.readable, host_group_vars) in
        ansible.cfg enables it.
    options: {}
"""

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.vars import BaseVarsPlugin
from ansible.plugins.vars.host_group_vars import VarsModule as HostGroupVars


class _Read(HostGroupVars):
    """Looks where Ansible's own does."""

    def load_found_files(self, loader, data, found_files):
        for found in found_files:
            try:
                super().load_found_files(loader, {}, [found])  # the loader keeps it for the next
            except AnsibleError as error:
                place = str(error.obj)  # FILE:LINE:COLUMN, of what is no YAML
                where = place if place.startswith(f"{found}:") else found
                advice = "; say --ask-vault-pass" if "vault" in str(error) else ""
                raise AnsibleParserError(f"{where}: {str(error).rstrip('.')}{advice}") from None
        return data


class VarsModule(BaseVarsPlugin):
    """What Ansible looks for."""

    def get_vars(self, loader, path, entities):
        """Return no variables; raises AnsibleParserError, which names the file."""
        return _Read().get_vars(loader, path, entities)
