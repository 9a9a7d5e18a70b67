#!/usr/bin/python
"""Make a local user of a Couchbase cluster."""

DOCUMENTATION = """
module: memfis_couchbase_user
short_description: Make a local user of a Couchbase cluster
description:
  - Gives a user this password and exactly these roles. Whether the password is right is found out
    by logging in with it.
author: ["memfis contributors (!UNKNOWN)"]
extends_documentation_fragment: [memfis.memfis.couchbase]
options:
  name:
    description: The user's name.
    type: str
    required: true
  password:
    description: The user's password, six characters or more.
    type: str
    required: true
  roles:
    description: Roles, as V(bucket_full_access[memfis]).
    type: list
    elements: str
    required: true
"""

EXAMPLES = """
- name: The user of the gateways
  memfis.memfis.memfis_couchbase_user:
    url: http://127.0.0.1:8091
    admin_user: Administrator
    admin_password: "{{ vaulted }}"
    name: memfis
    password: "{{ another }}"
    roles: ["bucket_full_access[memfis]"]
"""

RETURN = """
changes:
  description: What was changed, or in check mode would be, one line each.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.memfis.memfis.plugins.module_utils.couchbase import ensure_user
from ansible_collections.memfis.memfis.plugins.module_utils.couchbase_module import run


def _ensure(rest, module):
    given = module.params
    changes = ensure_user(
        rest,
        given["name"],
        given["password"],
        given["roles"],
        module.check_mode,
        given["ca_file"],
    )
    return changes, []


def main():
    """Run."""
    run(
        {
            "name": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "roles": {"type": "list", "elements": "str", "required": True},
        },
        _ensure,
    )


if __name__ == "__main__":
    main()
