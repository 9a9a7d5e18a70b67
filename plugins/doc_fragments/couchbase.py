"""What the modules of this role have in common, for ansible-doc."""


class ModuleDocFragment:
    """The options that `memfis_couchbase_module.run` reads."""

    DOCUMENTATION = """
options:
  url:
    description: The node to ask, as C(http://HOST:8091) or C(https://HOST:18091).
    type: str
    required: true
  admin_user:
    description: A full administrator of the cluster, or the one that it is to have.
    type: str
    required: true
  admin_password:
    description: The password of O(admin_user).
    type: str
    required: true
  ca_file:
    description: Certificates on the host that O(url) is verified with; by default its own.
    type: path
  timeout:
    description: Seconds that a rebalance, or a bucket that warms up, may take.
    type: int
    default: 600
"""
