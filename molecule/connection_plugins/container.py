"""Commands and files through molecule/enter, with pipelining.

The collections that have such plugins come in the package `ansible`, which takes longer to install
than a host to be set up. This one needs ansible-core alone, and enters once a task.
"""

import os
import shlex
import subprocess
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
    author: memfis contributors
    name: container
    short_description: Interact with a running container
    description: Run commands in a container, as its user, through the command line of its engine.
    options:
      remote_addr:
        description: The container.
        default: inventory_hostname
        vars:
          - name: inventory_hostname
      engine:
        description: podman or docker.
        default: podman
        vars:
          - name: molecule_engine
      umask:
        description: That of every command, as a login may set it.
        default: "022"
        vars:
          - name: molecule_umask
"""

ENTER = Path(__file__).parents[1] / "enter"


class Connection(ConnectionBase):
    """Nothing stays open: every command enters the container anew."""

    transport = "container"
    has_pipelining = True

    def _connect(self):
        self._connected = True
        return self

    def close(self):
        """Do nothing."""
        self._connected = False

    def _exec(self, command, **streams):
        engine, host = self.get_option("engine"), self.get_option("remote_addr")
        command = f"umask {self.get_option('umask')}; {command}"
        argv = [os.fspath(ENTER), engine, host, "/bin/sh", "-c", command]
        done = subprocess.run(argv, check=False, stderr=subprocess.PIPE, **streams)
        return done.returncode, done.stdout, done.stderr

    def exec_command(self, cmd, in_data=None, sudoable=True):
        """Return the status, stdout and stderr of `cmd`."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._exec(cmd, input=in_data or b"", stdout=subprocess.PIPE)

    def put_file(self, in_path, out_path):
        """Copy a file into the container."""
        super().put_file(in_path, out_path)
        with Path(in_path).open("rb") as content:
            self._copied(self._exec(f"cat > {shlex.quote(out_path)}", stdin=content), out_path)

    def fetch_file(self, in_path, out_path):
        """Copy a file out of the container."""
        super().fetch_file(in_path, out_path)
        with Path(out_path).open("wb") as content:
            self._copied(self._exec(f"cat {shlex.quote(in_path)}", stdout=content), in_path)

    def _copied(self, done, path):
        status, _, stderr = done
        if status != 0:
            raise AnsibleConnectionFailure(f"cannot copy {path}: {stderr.decode().strip()}")
