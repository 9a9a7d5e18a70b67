#!/usr/bin/python
"""Make a Couchbase bucket."""

DOCUMENTATION = """
module: memfis_couchbase_bucket
short_description: Make a Couchbase bucket
description:
  - Makes a bucket and waits until every node serves it, or sets what may be changed of it.
  - A change of the number of replicas is followed by the rebalance that it needs.
author: ["memfis contributors (!UNKNOWN)"]
extends_documentation_fragment: [memfis.memfis.couchbase]
options:
  name:
    description: The bucket's name.
    type: str
    required: true
  kind:
    description: Type of the bucket; it cannot be changed.
    type: str
    default: couchbase
    choices: [couchbase, ephemeral]
  ram_quota:
    description: MiB a node.
    type: int
    required: true
  replicas:
    description: Copies of every item, besides the first.
    type: int
    default: 0
  eviction:
    description:
      - What leaves memory when it is full; by default what Couchbase takes for the type.
      - A change restarts the bucket.
    type: str
    default: ""
  flush:
    description: Allow the bucket to be emptied over REST.
    type: bool
    default: false
"""

EXAMPLES = """
- name: A bucket
  memfis.memfis.memfis_couchbase_bucket:
    url: http://127.0.0.1:8091
    admin_user: Administrator
    admin_password: "{{ vaulted }}"
    name: memfis
    ram_quota: 512
"""

RETURN = """
changes:
  description: What was changed, or in check mode would be, one line each.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.memfis.memfis.plugins.module_utils.couchbase import (
    ensure_balance,
    ensure_bucket,
    wait_for_bucket,
)
from ansible_collections.memfis.memfis.plugins.module_utils.couchbase_module import run


def _ensure(rest, module):
    given = module.params
    wanted = {
        key: given[key] for key in ("name", "kind", "ram_quota", "replicas", "eviction", "flush")
    }
    changes, replicas = ensure_bucket(rest, wanted, module.check_mode)
    if replicas:
        changes += ensure_balance(rest, given["timeout"], module.check_mode, pending=True)
    if not module.check_mode:
        wait_for_bucket(rest, given["name"], given["timeout"])
    return changes, []


def main():
    """Run."""
    run(
        {
            "name": {"type": "str", "required": True},
            "kind": {"type": "str", "default": "couchbase", "choices": ["couchbase", "ephemeral"]},
            "ram_quota": {"type": "int", "required": True},
            "replicas": {"type": "int", "default": 0},
            "eviction": {"type": "str", "default": ""},
            "flush": {"type": "bool", "default": False},
        },
        _ensure,
    )


if __name__ == "__main__":
    main()
