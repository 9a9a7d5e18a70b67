"""Where Couchbase is, as the inventory has it."""


def store_addresses(hosts):
    """Return the addresses of Couchbase's nodes; `hosts` are their variables."""
    return [
        host.get("memfis_couchbase_address")
        or host.get("ansible_host")
        or {"localhost": "127.0.0.1"}.get(host["inventory_hostname"], host["inventory_hostname"])
        for host in hosts
    ]


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Return the filters by name."""
        return {"store_addresses": store_addresses}
