"""What the modules of this role have in common."""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.memfis.memfis.plugins.module_utils.couchbase import (
    CouchbaseError,
    Rest,
    initialised,
    needs_cluster,
)


def run(arguments, ensure, cluster=True):
    """Be a module: `ensure(rest, module)` returns changes and warnings.

    With `cluster` a node without one is an error, and in check mode a change to come.
    """
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "admin_user": {"type": "str", "required": True},
            "admin_password": {"type": "str", "required": True, "no_log": True},
            "ca_file": {"type": "path"},
            "timeout": {"type": "int", "default": 600},
            **arguments,
        },
        supports_check_mode=True,
    )
    given = module.params
    rest = Rest(given["url"], given["admin_user"], given["admin_password"], given["ca_file"])
    try:
        if cluster and module.check_mode and not initialised(rest):
            changes, warnings = ["all of it, once there is a cluster"], []
        else:
            if cluster:
                needs_cluster(rest)
            changes, warnings = ensure(rest, module)
    except CouchbaseError as error:
        module.fail_json(msg=str(error))
    for warning in warnings:
        module.warn(warning)
    module.exit_json(changed=bool(changes), changes=changes)
