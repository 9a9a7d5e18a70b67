#!/usr/bin/python
"""Initialise a Couchbase cluster, and set its quota and failover."""

DOCUMENTATION = """
module: memfis_couchbase_cluster
short_description: Initialise a Couchbase cluster, and set its quota and failover
description:
  - Initialises the node that is asked, when it belongs to no cluster, as one of its own.
  - Sets data quota, name and automatic failover, where they differ. Sends nothing that Community
    Edition refuses.
author: ["memfis contributors (!UNKNOWN)"]
extends_documentation_fragment: [memfis.memfis.couchbase]
options:
  hostname:
    description: The name or address that the node gets; other nodes must reach it by that.
    type: str
    required: true
  services:
    description: The services of the node.
    type: list
    elements: str
    default: [kv]
  memory_quota:
    description: MiB a node for the data service.
    type: int
    required: true
  name:
    description: A name for people.
    type: str
    default: memfis
  auto_failover:
    description: Seconds after which a node that does not answer is failed over; V(0) for never.
    type: int
    default: 0
  edition:
    description: What the server must be, V(community) or V(enterprise).
    type: str
    choices: [community, enterprise]
"""

EXAMPLES = """
- name: A cluster of one node
  memfis.memfis.memfis_couchbase_cluster:
    url: http://127.0.0.1:8091
    admin_user: Administrator
    admin_password: "{{ vaulted }}"
    hostname: store1.example.org
    memory_quota: 1024
"""

RETURN = """
changes:
  description: What was changed, or in check mode would be, one line each.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.memfis.memfis.plugins.module_utils.couchbase import (
    ensure_cluster,
    ensure_edition,
)
from ansible_collections.memfis.memfis.plugins.module_utils.couchbase_module import run


def _ensure(rest, module):
    given = module.params
    ensure_edition(rest, given["edition"])
    wanted = {
        key: given[key] for key in ("hostname", "services", "memory_quota", "name", "auto_failover")
    }
    return ensure_cluster(rest, given["admin_password"], wanted, module.check_mode), []


def main():
    """Run."""
    run(
        {
            "hostname": {"type": "str", "required": True},
            "services": {"type": "list", "elements": "str", "default": ["kv"]},
            "memory_quota": {"type": "int", "required": True},
            "name": {"type": "str", "default": "memfis"},
            "auto_failover": {"type": "int", "default": 0},
            "edition": {"type": "str", "choices": ["community", "enterprise"]},
        },
        _ensure,
        cluster=False,
    )


if __name__ == "__main__":
    main()
