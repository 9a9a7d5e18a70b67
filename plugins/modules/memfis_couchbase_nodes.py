#!/usr/bin/python
"""Add nodes to a Couchbase cluster, and rebalance."""

DOCUMENTATION = """
module: memfis_couchbase_nodes
short_description: Add nodes to a Couchbase cluster, and rebalance
description:
  - Adds the nodes that are missing, then rebalances once, and waits for it.
  - Rebalances also when nodes wait for it since an earlier run, or the last rebalance failed; never
    otherwise. Removes no node.
author: ["memfis contributors (!UNKNOWN)"]
extends_documentation_fragment: [memfis.memfis.couchbase]
options:
  hosts:
    description: Names or addresses of all nodes, as the first one reaches them.
    type: list
    elements: str
    required: true
  services:
    description: The services of nodes that are added.
    type: list
    elements: str
    default: [kv]
"""

EXAMPLES = """
- name: Three nodes
  memfis.memfis.memfis_couchbase_nodes:
    url: http://127.0.0.1:8091
    admin_user: Administrator
    admin_password: "{{ vaulted }}"
    hosts: [store1.example.org, store2.example.org, store3.example.org]
"""

RETURN = """
changes:
  description: What was changed, or in check mode would be, one line each.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.memfis.memfis.plugins.module_utils.couchbase import ensure_nodes
from ansible_collections.memfis.memfis.plugins.module_utils.couchbase_module import run


def _ensure(rest, module):
    given = module.params
    return ensure_nodes(
        rest,
        given["admin_password"],
        given["hosts"],
        given["services"],
        given["timeout"],
        module.check_mode,
    )


def main():
    """Run."""
    run(
        {
            "hosts": {"type": "list", "elements": "str", "required": True},
            "services": {"type": "list", "elements": "str", "default": ["kv"]},
        },
        _ensure,
    )


if __name__ == "__main__":
    main()
