"""containers.podman.podman with pipelining: one `podman exec` a task in place of six.

The collection leaves it out because its `exec` closes stdin; --interactive keeps that open.
"""

from ansible.plugins.connection import ConnectionBase
from ansible_collections.containers.podman.plugins.connection.podman import Connection as Podman

DOCUMENTATION = """
    author: memfis contributors
    name: podman_pipelined
    short_description: Interact with a podman container, with pipelining
    description: Run commands in a running container through podman exec.
    options:
      remote_addr:
        description: The container.
        default: inventory_hostname
        vars:
          - name: inventory_hostname
      remote_user:
        description: Not used; commands run as the container's user.
        vars:
          - name: ansible_user
      podman_extra_args:
        description: Arguments before the command of podman.
        default: ''
        vars:
          - name: ansible_podman_extra_args
      podman_executable:
        description: The program.
        default: podman
        vars:
          - name: ansible_podman_executable
"""


class Connection(Podman):
    """Podman with a stdin."""

    transport = "podman_pipelined"
    has_pipelining = True

    def _connect(self):
        """Do nothing: the collection's plugin would mount the container for every task."""
        ConnectionBase._connect(self)
        self._connected = True

    def _podman(self, cmd, cmd_args=None, in_data=None, use_container_id=True):
        if in_data is not None and cmd[0] == "exec":
            cmd = ["exec", "--interactive", *cmd[1:]]
        return super()._podman(cmd, cmd_args, in_data, use_container_id)
